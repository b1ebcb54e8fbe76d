//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The server of net/http, HTTP/1.0 and 1.1: one event per request.

#include "headers.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

// begin returns the goroutine's entry, cleared for a new request, or NULL if the map is full.
static __always_inline struct http_request *begin(struct span_key *key)
{
	struct http_request *r = (struct http_request *)enter(key);

	if (!r)
		return NULL;
	__builtin_memset(&r->event, 0, __builtin_offsetof(struct http_server_event, text.data));
	__builtin_memset(&r->work, 0, sizeof(r->work));
	r->slot.trace_state_len = 0;
	return r;
}

// read_request keeps what a handler may change: it is read before one runs. 0 if that fails. Global, for a stack of its own.
__noinline int read_request(__u64 target, __u64 goroutine)
{
	struct span_key key = { .target = target, .goroutine = goroutine };
	struct http_request *r = find_request(&key);
	__u8 req[REQUEST_BUFFER] __attribute__((aligned(8))) = {};

	if (!r || !read_struct(req, request_size, sizeof(req), r->work.request))
		return 0;
	struct text_area *t = &r->event.text;
	r->event.tls = WORD_AT(req, request_tls) != 0;
	r->event.proto_major = WORD_AT(req, request_proto_major);
	r->event.proto_minor = WORD_AT(req, request_proto_minor);
	r->event.method = append(t, STRING_AT(req, request_method), METHOD_MAX);
	r->event.host = append(t, STRING_AT(req, request_host), HOST_MAX);
	r->event.remote_addr = append(t, STRING_AT(req, request_remote_addr), ADDR_MAX);
	r->event.request_target = append(t, STRING_AT(req, request_uri), TARGET_MAX);
	r->slot.context = WORD_AT(req, request_ctx + sizeof(__u64));
	start_walk(&r->work.walk, WORD_AT(req, request_header), &header_layout);
	return 1;
}

static __always_inline void read_headers(struct span_key *key)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAP_MAX_GROUPS; i++) {
		if (!scan_group(key->target, key->goroutine))
			return;
	}
	count_loss(LOSS_HEADERS);
}

// func (sh serverHandler) ServeHTTP(rw ResponseWriter, req *Request)
// 1: sh.srv, 2–3: rw, 4: req
SEC("uprobe/serve_http")
int serve_http(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &serve_http_points);
	struct span_key key = { .target = target_id(ctx), .goroutine = goroutine_id(ctx) };

	if (!p)
		return 0;
	if (!in_set(&response_itabs, GO_ARG2(ctx) - load_bias(ctx, p))) {
		count_loss(LOSS_UNSUPPORTED);
		return 0;
	}
	if (!key.goroutine) {
		count_loss(LOSS_READ);
		return 0;
	}
	struct http_request *r = begin(&key);
	if (!r)
		return 0;
	r->event.head.target = key.target;
	r->event.head.start = bpf_ktime_get_boot_ns();
	r->work.response = GO_ARG3(ctx);
	r->work.request = GO_ARG4(ctx);
	if (!read_request(key.target, key.goroutine)) {
		count_loss(LOSS_READ);
		return 0;
	}
	if (!r->slot.context_key) // the parent of all of the connection's requests' contexts
		own_context(&key, &r->slot, read_u64(r->slot.context + cancel_ctx_parent + sizeof(__u64)));
	read_headers(&key);
	bool remote = r->work.traceparents == 1 && read_parent(key.target, key.goroutine);
	r->event.head.remote_parent = remote;
	bool yes = start_span(&r->event.head, remote ? &r->work.parent : NULL);
	r->slot.state = yes ? OPERATION_SAMPLED : OPERATION_UNSAMPLED;
	return 0;
}

// func (mux *ServeMux) findHandler(r *Request) (h Handler, patStr string, _ *pattern, matches []string), Go 1.22+
// func (mux *ServeMux) handler(host, path string) (h Handler, pattern string), before
// Stops in or behind it where the results are known. A nested mux matches later and better: the last one counts.
SEC("uprobe/mux_match")
int mux_match(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &mux_match_points);
	struct span_key key = { .target = target_id(ctx), .goroutine = goroutine_id(ctx) };

	if (!p)
		return 0;
	struct http_request *r = find_request(&key);
	if (!r && g_parent_goid != ABSENT) { // http.TimeoutHandler matches in a goroutine that the connection's has started
		key.goroutine = read_u64(GO_G(ctx) + g_parent_goid);
		r = find_request(&key);
	}
	if (!r || r->slot.state != OPERATION_SAMPLED)
		return 0;
	r->work.route_ptr = result_word(ctx, p, 2);
	r->work.route_len = result_word(ctx, p, 3);
	return 0;
}

// read_route takes the route from the request itself if its mux wrote it there, else from the route probe.
static __always_inline void read_route(struct http_request *r)
{
	struct go_string own = {}, matched = { .ptr = r->work.route_ptr, .len = r->work.route_len };

	if (request_pattern >= 0)
		own = read_string_header(r->work.request + request_pattern);
	else if (request_pat >= 0) {
		__u64 pat = read_u64(r->work.request + request_pat);
		if (pat)
			own = read_string_header(pat + pattern_str);
	}
	if (matched.len) {
		if (own.ptr == matched.ptr)
			routes_spare++;
		else
			routes_needed++;
		own = matched;
	} else if (!own.len) {
		routes_missed++;
	}
	r->event.route = append(&r->event.text, own, ROUTE_MAX);
}

// finish ends the request, if there is one, and sends its event.
static __always_inline void finish(struct http_request *r)
{
	__u8 res[RESPONSE_BUFFER] __attribute__((aligned(8))) = {};

	if (r->slot.state == OPERATION_UNSAMPLED)
		count_loss(LOSS_UNSAMPLED);
	if (r->slot.state != OPERATION_SAMPLED)
		return;
	r->event.head.end = bpf_ktime_get_boot_ns();
	if (!read_struct(res, response_size, sizeof(res), r->work.response)) {
		count_loss(LOSS_READ);
		return;
	}
	r->event.status = WORD_AT(res, response_status);
	r->event.body_size = WORD_AT(res, response_written);
	r->event.header_written = res[response_wrote_header];
	if (!r->event.header_written) // only then it makes a difference
		r->event.hijacked = read_u8(WORD_AT(res, response_conn) + conn_hijacked);
	read_route(r);
	__u64 size = __builtin_offsetof(struct http_server_event, text.data) + r->event.text.used;
	barrier_var(size); // or the compiler checks the summand, and the verifier of Linux 5.10 does not see that the sum is bounded
	if (size > sizeof(r->event))
		size = sizeof(r->event);
	emit(&r->event, size);
}

// In func (c *conn) serve(ctx context.Context), behind its call of ServeHTTP.
SEC("uprobe/serve_http_return")
int serve_http_return(struct pt_regs *ctx)
{
	struct span_key key = { .target = target_id(ctx), .goroutine = goroutine_id(ctx) };

	if (!find_point(ctx, &serve_http_return_points))
		return 0;
	struct http_request *r = find_request(&key);
	if (!r)
		return 0;
	finish(r);
	r->slot.state = OPERATION_IDLE;
	if (too_many_idle())
		leave(&key, &r->slot);
	return 0;
}

// The deferred function of (*conn).serve: it runs when a connection ends, and a request still in flight then has panicked or
// called runtime.Goexit.
SEC("uprobe/serve_unwind")
int serve_unwind(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &serve_unwind_points);
	struct span_key key = { .target = target_id(ctx), .goroutine = goroutine_id(ctx) };

	if (!p)
		return 0;
	struct http_request *r = find_request(&key);
	if (!r)
		return 0;
	if (r->slot.state == OPERATION_SAMPLED) {
		r->event.unwound = 1;
		read_panic(ctx, p, &r->event.panic, &r->event.text);
	}
	finish(r);
	leave(&key, &r->slot);
	return 0;
}
