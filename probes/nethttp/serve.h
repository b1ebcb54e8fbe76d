// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// A request from the call of its handler to its end, whichever server's.
#pragma once

#include "headers.h"

// begin returns the goroutine's entry, cleared for a new request, or NULL if the map is full.
static __always_inline struct http_request *begin(struct span_key *key)
{
	struct http_request *r = (struct http_request *)enter(key, find_operation(key));

	if (!r)
		return NULL;
	__builtin_memset(&r->event, 0, __builtin_offsetof(struct http_server_event, text.data));
	__builtin_memset(&r->work, 0, sizeof(r->work));
	r->slot.trace_state_len = 0;
	return r;
}

// peer_of keeps the address of a connection's client. It comes first in the text, and is there still when the same string is the connection's next
// request's.
static __always_inline struct span_text peer_of(struct http_request *r, struct go_string addr)
{
	struct text_area *t = &r->event.text;
	struct span_text piece = { .len = addr.len };

	if (addr.ptr && r->slot.kept == addr.ptr && r->slot.kept_len == addr.len) {
		t->used = addr.len;
		return piece;
	}
	piece = append(t, addr, ADDR_MAX);
	r->slot.kept_len = piece.len;
	r->slot.kept = piece.len == addr.len ? addr.ptr : 0; // if it is there whole
	return piece;
}

// read_request keeps what a handler may change: it is read before one runs. 0 if that fails. Global, for a stack of its own.
__noinline int read_request(__u32 place)
{
	struct http_request *r = request_at(place);
	__u8 req[REQUEST_BUFFER] __attribute__((aligned(8))) = {};

	if (!r || !read_struct(req, request_size, sizeof(req), r->work.request))
		return 0;
	struct text_area *t = &r->event.text;
	r->event.tls = WORD_AT(req, request_tls) != 0;
	r->event.proto_major = WORD_AT(req, request_proto_major);
	r->event.proto_minor = WORD_AT(req, request_proto_minor);
	r->event.remote_addr = peer_of(r, STRING_AT(req, request_remote_addr)); // first: see there
	struct go_string method = STRING_AT(req, request_method), uri = STRING_AT(req, request_uri);
	if (!append_two(t, method, METHOD_MAX, uri, TARGET_MAX, &r->event.method, &r->event.request_target)) { // HTTP/1: both in the request line
		r->event.method = append(t, method, METHOD_MAX);
		r->event.request_target = append(t, uri, TARGET_MAX);
	}
	r->event.host = append(t, STRING_AT(req, request_host), HOST_MAX);
	r->slot.context = WORD_AT(req, request_ctx + sizeof(__u64));
	start_walk(&r->work.walk, WORD_AT(req, request_header), &header_layout);
	return 1;
}

static __always_inline void read_headers(__u32 place)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAP_MAX_GROUPS; i++) {
		if (!scan_group(place))
			return;
	}
	count_loss(LOSS_HEADERS);
}

// held_header is where the target holds the request's header until the handler has returned, whatever the handler does: in the
// request that the response refers to. 0: that is not known. The state of a stream's response is kept, it is the same one at the end.
static __always_inline __u64 held_header(struct http_request *r, __u64 request, __u64 response, bool connection)
{
	if (connection)
		return request + request_header;
	if (writer_state != ABSENT)
		r->work.state = read_u64(response + writer_state);
	if (!r->work.state || state_req == ABSENT)
		return 0;
	__u64 held = read_u64(r->work.state + state_req);
	if (held == request)
		return request + request_header;
	return held && server_request_header != ABSENT ? held + server_request_header : 0; // Go 1.27
}

// begin_request starts the request's span before its handler runs. connection is whether the goroutine serves one request after
// the other; else it is the request's own. In the first case the parent of all of the connection's requests' contexts
// stands for them.
static __always_inline void begin_request(struct pt_regs *ctx, struct span_key *key, __u64 request, __u64 response, bool connection, __u64 bias)
{
	if (!key->goroutine) {
		count_loss(LOSS_READ);
		return;
	}
	struct http_request *r = begin(key);
	if (!r)
		return;
	note_server(ctx, key, &r->slot);
	r->event.head.target = key->target;
	r->event.head.start = bpf_ktime_get_boot_ns();
	r->work.response = response;
	r->work.request = request;
	r->work.bias = bias;
	if (!read_request(r->slot.place)) {
		count_loss(LOSS_READ);
		return;
	}
	if (connection && r->event.proto_major == 2) // "PRI * HTTP/2.0": the connection's preface, of which requests will come
		return;
	if (!connection)
		own_context(key, &r->slot, r->slot.context);
	else if (!r->slot.context_key)
		own_context(key, &r->slot, read_u64(r->slot.context + cancel_ctx_parent + sizeof(__u64)));
	r->slot.header = held_header(r, request, response, connection);
	read_headers(r->slot.place);
	bool remote = r->work.traceparents == 1 && read_parent(r->slot.place);
	r->event.head.remote_parent = remote;
	bool yes = start_span((struct any_operation *)r, remote ? &r->work.parent : NULL);
	r->slot.state = yes ? OPERATION_SAMPLED : OPERATION_UNSAMPLED;
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
	r->event.route = append_literal(&r->event.text, own, ROUTE_MAX, r->work.bias);
}

// ends says whether a request ends here that has a span; the response is then to be read.
static __always_inline bool ends(struct http_request *r)
{
	if (r->slot.state == OPERATION_UNSAMPLED)
		count_loss(LOSS_UNSAMPLED);
	if (r->slot.state != OPERATION_SAMPLED)
		return false;
	r->event.head.end = bpf_ktime_get_boot_ns();
	return true;
}

static __always_inline void send_request(struct http_request *r)
{
	read_route(r);
	__u64 size = __builtin_offsetof(struct http_server_event, text.data) + r->event.text.used;
	barrier_var(size); // or the compiler checks the summand, and the verifier of Linux 5.10 does not see that the sum is bounded
	if (size > sizeof(r->event))
		size = sizeof(r->event);
	emit(&r->event, size);
}

// read_state keeps what became of a stream's response. False if that fails.
static __always_inline bool read_state(struct http_request *r)
{
	__u8 *state = r->group; // is not needed any more
	__s64 last = state_status > state_wrote_bytes ? state_status : state_wrote_bytes;
	__u64 size = (last > state_wrote_header ? last : state_wrote_header) + sizeof(__u64);

	if (!r->work.state || (state_status | state_wrote_header | state_wrote_bytes) < 0 || !read_struct(state, size, sizeof(r->group), r->work.state))
		return false;
	r->event.status = WORD_AT(state, state_status);
	r->event.header_written = state[state_wrote_header];
	r->event.body_size = WORD_AT(state, state_wrote_bytes);
	return true;
}

// end_stream ends the request of an HTTP/2 stream in the deferred function of runHandler, which runs in any case: after the
// handler's return and after its panic.
static __always_inline void end_stream(struct pt_regs *ctx, const volatile struct point *p)
{
	struct span_key key;
	struct http_request *r = (struct http_request *)find_server(ctx, &key);

	if (!r || r->event.head.probe != probe_index) // another probe's of this server: it knows its requests' structs
		return;
	if (ends(r)) {
		if (read_state(r)) {
			read_panic(ctx, p, &r->event.panic, &r->event.text);
			r->event.unwound = r->event.panic.kind != PANIC_NONE;
			send_request(r);
		} else {
			count_loss(LOSS_READ);
		}
	}
	leave(&key, &r->slot);
}
