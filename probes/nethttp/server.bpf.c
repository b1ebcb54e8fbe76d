//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The server of net/http, HTTP/1.0, 1.1 and 2: one event per request.

#include "serve.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

volatile const struct points serve_http_points, serve_http_return_points, serve_unwind_points, stream_done_points, mux_match_points;
volatile const struct addr_set response_itabs, stream_itabs;
volatile const __s64 response_size, response_conn, response_req, response_status, response_wrote_header, response_written, conn_hijacked;

// Where a request's handler is about to be called.
enum serve_site {
	SERVE_HTTP, // func (sh serverHandler) ServeHTTP(rw ResponseWriter, req *Request)
	// Where that is inlined:
	REQUEST_READ, // in func (c *conn) serve(ctx context.Context), behind w, err := c.readRequest(ctx)
	ALPN, // func (h initALPNRequest) ServeHTTP(rw ResponseWriter, req *Request), h being four words
	UNENCRYPTED, // func (h unencryptedHTTP2Request) ServeHTTP(rw ResponseWriter, req *Request), h being five
};
const enum serve_site *unused_site __attribute__((unused));

SEC("uprobe/serve_http")
int serve_http(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &serve_http_points);
	struct span_key key = server_key(ctx);
	__u64 itab, response, request, bias;

	if (!p)
		return 0;
	bias = load_bias(ctx, p);
	bool connection = false, known = true;
	switch (p->site) {
	case REQUEST_READ:
		response = result_word(ctx, p, 0);
		request = result_word(ctx, p, 1) ? 0 : read_u64(response + response_req); // no request, but an error
		connection = true;
		break;
	case ALPN:
		itab = GO_ARG5(ctx), response = GO_ARG6(ctx), request = GO_ARG7(ctx);
		break;
	case UNENCRYPTED:
		itab = GO_ARG6(ctx), response = GO_ARG7(ctx), request = GO_ARG8(ctx);
		break;
	default:
		itab = GO_ARG2(ctx), response = GO_ARG3(ctx), request = GO_ARG4(ctx);
	}
	if (p->site != REQUEST_READ) {
		connection = in_set(&response_itabs, itab - bias);
		known = connection || (stream_done_points.n && in_set(&stream_itabs, itab - bias));
	}
	if (known && request)
		begin_request(ctx, &key, request, response, connection, bias);
	else if (!known && !find_served(key.target, key.goroutine)) // by the probe of another HTTP/2 server
		count_loss(LOSS_UNSUPPORTED);
	carry_out(ctx, p);
	return 0;
}

// keep_route keeps the route that a mux has found.
static __always_inline void keep_route(struct pt_regs *ctx, const volatile struct point *p)
{
	struct span_key key;
	struct http_request *r = (struct http_request *)find_server(ctx, &key);
	if (!r && g_parent_goid != ABSENT) { // http.TimeoutHandler matches in a goroutine that the connection's has started
		key.goroutine = read_u64(GO_G(ctx) + g_parent_goid);
		r = find_request(&key);
	}
	if (!r || r->slot.state != OPERATION_SAMPLED)
		return;
	r->work.route_ptr = result_word(ctx, p, 2);
	r->work.route_len = result_word(ctx, p, 3);
}

// func (mux *ServeMux) findHandler(r *Request) (h Handler, patStr string, _ *pattern, matches []string), Go 1.22+
// func (mux *ServeMux) handler(host, path string) (h Handler, pattern string), before
// Stops in or behind it where the results are known. A nested mux matches later and better: the last one counts.
SEC("uprobe/mux_match")
int mux_match(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &mux_match_points);

	if (p)
		keep_route(ctx, p);
	carry_out(ctx, p);
	return 0;
}

// finish ends the request, if there is one, and sends its event.
static __always_inline void finish(struct http_request *r)
{
	__u8 res[RESPONSE_BUFFER] __attribute__((aligned(8))) = {};

	if (!ends(r))
		return;
	if (!read_struct(res, response_size, sizeof(res), r->work.response)) {
		count_loss(LOSS_READ);
		return;
	}
	r->event.status = WORD_AT(res, response_status);
	r->event.body_size = WORD_AT(res, response_written);
	r->event.header_written = res[response_wrote_header];
	if (!r->event.header_written) // only then it makes a difference
		r->event.hijacked = read_u8(WORD_AT(res, response_conn) + conn_hijacked);
	send_request(r);
}

// In func (c *conn) serve(ctx context.Context), behind its call of ServeHTTP.
SEC("uprobe/serve_http_return")
int serve_http_return(struct pt_regs *ctx)
{
	struct span_key key;

	if (!find_point(ctx, &serve_http_return_points))
		return 0;
	struct http_request *r = (struct http_request *)find_server(ctx, &key);
	if (!r)
		return 0;
	finish(r);
	rest(&key, &r->slot);
	return 0;
}

// The deferred function of (*conn).serve: it runs when a connection ends, and a request still in flight then has panicked or
// called runtime.Goexit.
SEC("uprobe/serve_unwind")
int serve_unwind(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &serve_unwind_points);
	struct span_key key;

	if (!p)
		return 0;
	struct http_request *r = (struct http_request *)find_server(ctx, &key);
	if (!r)
		return 0;
	if (r->slot.state == OPERATION_SAMPLED) {
		r->event.unwound = 1;
		read_panic(ctx, p, &r->event.panic, &r->event.text);
	}
	// Without a panic, a request that was REQUEST_READ has been refused before its handler, for what it expects.
	if (r->event.panic.kind != PANIC_NONE || r->slot.state != OPERATION_SAMPLED)
		finish(r);
	leave(&key, &r->slot);
	return 0;
}

// The deferred function of (*http2serverConn).runHandler, and of that of net/http/internal/http2.
SEC("uprobe/stream_done")
int stream_done(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &stream_done_points);

	if (p)
		end_stream(ctx, p);
	return 0;
}
