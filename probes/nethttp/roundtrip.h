// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// A round trip of a net/http.RoundTripper from its call to its return, whichever package's.
#pragma once

#include "callheader.h"

// begin returns the goroutine's entry, cleared for a new call, or NULL if the map is full.
static __always_inline struct http_call *begin(struct span_key *key)
{
	struct http_call *c = (struct http_call *)enter(key);

	if (!c)
		return NULL;
	__builtin_memset(&c->event, 0, __builtin_offsetof(struct http_client_event, text.data));
	__builtin_memset(&c->work, 0, sizeof(c->work));
	c->slot.trace_state_len = 0;
	return c;
}

// count_resends follows the responses that redirected to this request: each names the request that it answered.
static __always_inline __u8 count_resends(__u64 response)
{
	__u8 n = 0;

#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_RESENDS && response; i++) {
		__u64 request = read_u64(response + response_request);
		n++;
		response = request ? read_u64(request + request_response) : 0;
	}
	return n;
}

// read_url keeps the parts of the request's URL. 0 if that fails. Global, for a stack of its own.
__noinline int read_url(__u32 place, __u64 url)
{
	struct http_call *c = call_at(place);
	__u8 u[URL_BUFFER] __attribute__((aligned(8))) = {};

	if (!c || !read_struct(u, url_size, sizeof(u), url))
		return 0;
	struct text_area *t = &c->event.text;
	struct go_string opaque = STRING_AT(u, url_opaque), raw_path = STRING_AT(u, url_raw_path);
	c->event.user_info = WORD_AT(u, url_user) != 0;
	c->event.force_query = u[url_force_query];
	c->event.opaque = opaque.len != 0;
	c->event.escaped = !c->event.opaque && raw_path.len;
	c->event.scheme = append(t, STRING_AT(u, url_scheme), SCHEME_MAX);
	c->event.url_host = append(t, STRING_AT(u, url_host), HOST_MAX);
	c->event.path = append(t, c->event.opaque ? opaque : c->event.escaped ? raw_path : STRING_AT(u, url_path), PATH_MAX);
	c->event.query = append(t, STRING_AT(u, url_raw_query), QUERY_MAX);
	c->event.fragment = append(t, STRING_AT(u, url_fragment), FRAGMENT_MAX);
	return 1;
}

// read_call keeps what is to be known of the request when the call begins. 0 if that fails.
__noinline int read_call(__u32 place, __u64 request)
{
	struct http_call *c = call_at(place);
	__u8 req[REQUEST_BUFFER] __attribute__((aligned(8))) = {};

	if (!c || !read_struct(req, request_size, sizeof(req), request))
		return 0;
	c->event.method = append(&c->event.text, STRING_AT(req, request_method), METHOD_MAX);
	c->event.resends = count_resends(WORD_AT(req, request_response));
	c->work.header = WORD_AT(req, request_header);
	c->slot.context = WORD_AT(req, request_ctx + 8);
	start_walk(&c->work.walk, c->work.header, &header_layout);
	return 1;
}

// read_carried parses the traceparent that the request carries already: 1 if it is valid.
__noinline int read_carried(__u32 place)
{
	struct http_call *c = call_at(place);
	__u8 text[TRACEPARENT_LEN + 1];

	return c && parse_traceparent(c->event.head.target, c->work.traceparent, text, &c->work.parent);
}

static __always_inline void find_carried(__u32 place)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAP_MAX_GROUPS; i++) {
		if (!scan_call_group(place))
			return;
	}
	count_loss(LOSS_HEADERS);
}

// take_trace_state copies the operation's tracestate to the beginning of the call's text.
static __always_inline void take_trace_state(struct http_call *c, struct any_operation *o)
{
	c->event.trace_state = copy_trace_state(&c->event.text, o);
	c->slot.trace_state = __builtin_offsetof(struct http_call, event.text.data);
	c->slot.trace_state_len = c->event.trace_state.len;
}

// announce makes the call known to the goroutine that will write its request.
static __always_inline void announce(struct span_key *key, struct http_call *c)
{
	struct header_key k = { .target = key->target, .header = c->work.header };
	struct header_owner mine = { .goroutine = key->goroutine, .users = 1 };
	struct header_owner *other = bpf_map_lookup_elem(&calls_by_header, &k);

	if (other) {
		struct span_key theirs = { .target = key->target, .role = ROLE_CLIENT, .goroutine = other->goroutine };
		struct http_call *call = find_call(&theirs);
		if ((!other->goroutine && other->users) || (other->goroutine != key->goroutine && call && call->work.header == k.header)) {
			__sync_fetch_and_add(&other->users, 1);
			other->goroutine = 0;
			return;
		}
	}
	bpf_map_update_elem(&calls_by_header, &k, &mine, BPF_ANY);
}

static __always_inline void withdraw(struct span_key *key, struct http_call *c)
{
	struct header_key k = { .target = key->target, .header = c->work.header };
	struct header_owner *owner = k.header ? bpf_map_lookup_elem(&calls_by_header, &k) : NULL;

	c->work.header = 0;
	if (!owner)
		return;
	if (owner->users <= 1)
		bpf_map_delete_elem(&calls_by_header, &k);
	else
		__sync_fetch_and_add(&owner->users, -1);
}

// within says whether the call at hand is made by one that is traced already, by another package's probe. What is left of a call
// that panicked lies no less deep.
static __always_inline bool within(struct http_call *c, __u64 depth)
{
	return c && c->slot.state != OPERATION_IDLE && c->event.head.probe != probe_index && depth > c->work.depth;
}

// begin_call starts the span of func (t *Transport) RoundTrip(req *Request) (*Response, error): 1: t, 2: req
static __always_inline void begin_call(struct pt_regs *ctx, const volatile struct point *p)
{
	struct span_key key = { .target = target_id(ctx), .role = ROLE_CLIENT, .goroutine = goroutine_id(ctx) };
	__u64 request = GO_ARG2(ctx), depth = depth_of(ctx);

	if (!key.goroutine) {
		count_loss(LOSS_READ);
		return;
	}
	if (within(find_call(&key), depth))
		return;
	struct any_operation *o = find_by_context(key.target, read_iface(request + request_ctx), load_bias(ctx, p));
	if (!o)
		o = find_by_goroutine(ctx, &key);
	struct http_call *c = begin(&key);
	if (!c)
		return;
	c->event.head.target = key.target;
	c->event.head.start = bpf_ktime_get_boot_ns();
	c->work.depth = depth;
	if (o) {
		take_trace_state(c, o);
		c->work.served = o->operation.slot.goroutine;
		c->work.served_begun = o->operation.slot.begun;
	}
	__u64 url = read_u64(request + request_url);
	if (!read_call(c->slot.place, request) || !read_url(c->slot.place, url)) {
		count_loss(LOSS_READ);
		leave(&key, &c->slot);
		return;
	}
	find_carried(c->slot.place);
	bool carries = c->work.traceparent.len, child = carries && read_carried(c->slot.place);
	if (o && (!child || handed_on(&c->work.parent, o))) {
		parent_of(o, &c->work.parent);
		child = true;
	}
	bool yes = start_span(&c->event.head, child ? &c->work.parent : NULL);
	c->slot.state = yes ? OPERATION_SAMPLED : OPERATION_UNSAMPLED;
	if (carries || !inject_enabled)
		c->work.header = 0;
	else
		announce(&key, c);
}

static __always_inline void read_outcome(struct pt_regs *ctx, const volatile struct point *p, struct http_call *c)
{
	__u64 response = result_word(ctx, p, 0), error = result_word(ctx, p, 1);
	__u8 answer[ANSWER_BUFFER] __attribute__((aligned(8)));

	if (error) {
		c->event.failed = 1;
		c->event.error_type = dynamic_type(c->event.head.target, error, load_bias(ctx, p));
	} else if (response && !bpf_probe_read_user(answer, sizeof(answer), (void *)response)) {
		c->event.status = WORD_AT(answer, response_status);
		c->event.proto_major = WORD_AT(answer, response_proto_major);
		c->event.proto_minor = WORD_AT(answer, response_proto_minor);
	}
}

// end_call ends the span where RoundTrip returns. Results: 0: *Response, 1–2: error
static __always_inline void end_call(struct pt_regs *ctx, const volatile struct point *p)
{
	struct span_key key = { .target = target_id(ctx), .role = ROLE_CLIENT, .goroutine = goroutine_id(ctx) };
	struct http_call *c = find_call(&key);

	if (!c || c->event.head.probe != probe_index)
		return;
	withdraw(&key, c);
	if (c->slot.state == OPERATION_UNSAMPLED)
		count_loss(LOSS_UNSAMPLED);
	if (c->slot.state == OPERATION_SAMPLED) {
		c->event.head.end = bpf_ktime_get_boot_ns();
		read_outcome(ctx, p, c);
		__u64 size = __builtin_offsetof(struct http_client_event, text.data) + c->event.text.used;
		barrier_var(size); // see server.bpf.c
		if (size > sizeof(c->event))
			size = sizeof(c->event);
		emit(&c->event, size);
	}
	leave(&key, &c->slot);
}
