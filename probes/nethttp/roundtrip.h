// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// A round trip of a net/http.RoundTripper from its call to its return, whichever package's.
#pragma once

#include "callheader.h"

// begin returns the goroutine's entry, cleared for a new call, or NULL if the map is full. c is the one that it has already, or NULL.
static __always_inline struct http_call *begin(struct span_key *key, struct http_call *c, struct goroutine *g)
{
	c = (struct http_call *)enter(key, (struct any_operation *)c);
	if (!c)
		return NULL;
	own_number(key, &c->slot, g->number);
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

// read_parts keeps scheme, host, path and query, if they lie behind each other as in the text that a URL was parsed from: reading one by one costs
// four times as much. False if they do not, or are too long, or absent.
static __always_inline bool read_parts(struct http_call *c, struct go_string scheme, struct go_string host, struct go_string path, struct go_string query)
{
	__u64 host_at = scheme.len + 3, path_at = host_at + host.len, query_at = path_at + path.len + 1; // "://", "?"
	struct go_string all = { .ptr = scheme.ptr, .len = query.len ? query_at + query.len : query_at - 1 };
	struct text_area *t = &c->event.text;

	if (host.ptr != scheme.ptr + host_at || (path.len && path.ptr != scheme.ptr + path_at) || (query.len && query.ptr != scheme.ptr + query_at))
		return false;
	if (scheme.len > SCHEME_MAX || host.len > HOST_MAX || path.len > URL_MAX || query.len > URL_MAX || all.len > URL_MAX)
		return false;
	struct span_text text = append(t, all, URL_MAX);
	if (text.len & TEXT_BY_ADDRESS)
		t->used = text.off;
	if (!text.len || text.len & TEXT_BY_ADDRESS)
		return false;
	c->event.scheme = (struct span_text){ .off = text.off, .len = scheme.len };
	c->event.url_host = (struct span_text){ .off = text.off + host_at, .len = host.len };
	c->event.path = (struct span_text){ .off = text.off + path_at, .len = path.len };
	c->event.query = (struct span_text){ .off = text.off + query_at, .len = query.len };
	return true;
}

// read_url keeps the request's method and the parts of its URL. 0 if that fails. Global, for a stack of its own.
__noinline int read_url(__u32 place, __u64 bias)
{
	struct http_call *c = call_at(place);
	__u8 u[URL_BUFFER] __attribute__((aligned(8))) = {};

	if (!c || !read_struct(u, url_size, sizeof(u), c->work.url))
		return 0;
	struct text_area *t = &c->event.text;
	struct go_string opaque = STRING_AT(u, url_opaque), raw_path = STRING_AT(u, url_raw_path);
	struct go_string scheme = STRING_AT(u, url_scheme), host = STRING_AT(u, url_host), path, query = STRING_AT(u, url_raw_query);
	c->event.user_info = WORD_AT(u, url_user) != 0;
	c->event.force_query = u[url_force_query];
	c->event.opaque = opaque.len != 0;
	c->event.escaped = !c->event.opaque && raw_path.len;
	path = c->event.opaque ? opaque : c->event.escaped ? raw_path : STRING_AT(u, url_path);
	c->event.method = append_literal(t, c->work.method, METHOD_MAX, bias);
	if (!read_parts(c, scheme, host, path, query)) {
		c->event.scheme = append(t, scheme, SCHEME_MAX);
		c->event.url_host = append(t, host, HOST_MAX);
		c->event.path = append(t, path, PATH_MAX);
		c->event.query = append(t, query, QUERY_MAX);
	}
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
	c->work.method = STRING_AT(req, request_method);
	c->work.url = WORD_AT(req, request_url);
	c->work.context.type = WORD_AT(req, request_ctx);
	c->work.context.data = WORD_AT(req, request_ctx + 8);
	c->event.resends = count_resends(WORD_AT(req, request_response));
	c->work.header = WORD_AT(req, request_header);
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
	struct header_owner mine = { .call = ref_to(&c->slot), .users = 1 };
	struct header_owner *other = bpf_map_lookup_elem(&calls_by_header, &k);

	if (other) {
		struct http_call *call = (struct http_call *)find_ref(other->call);
		if ((!other->call && other->users) || (call && call->work.header == k.header)) {
			__sync_fetch_and_add(&other->users, 1);
			other->call = 0;
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
static __always_inline bool within(struct http_call *c, struct goroutine *g)
{
	return c && c->slot.state != OPERATION_IDLE && c->slot.goroutine == g->number && c->event.head.probe != probe_index && g->depth > c->work.depth;
}

// begin_call starts the span of func (t *Transport) RoundTrip(req *Request) (*Response, error): 1: t, 2: req
static __always_inline void begin_call(struct pt_regs *ctx, const volatile struct point *p)
{
	struct span_key key = caller_key(ctx, ROLE_CLIENT);
	struct http_call *c = find_call(&key);
	__u64 bias = load_bias(ctx, p);
	struct goroutine g;

	if (!read_goroutine(ctx, &g)) {
		count_loss(LOSS_READ);
		return;
	}
	if (within(c, &g))
		return;
	c = begin(&key, c, &g);
	if (!c)
		return;
	c->event.head.target = key.target;
	c->event.head.start = bpf_ktime_get_boot_ns();
	c->work.depth = g.depth;
	c->work.bias = bias;
	if (!read_call(c->slot.place, GO_ARG2(ctx))) {
		count_loss(LOSS_READ);
		rest(&key, &c->slot);
		return;
	}
	struct any_operation *o = find_by_context(key.target, c->work.context, bias, serving(ctx, key.target));
	if (!o)
		o = find_by_goroutine(ctx, &g);
	if (o) {
		take_trace_state(c, o);
		c->work.served = ref_to(&o->operation.slot);
	}
	if (!read_url(c->slot.place, bias)) {
		count_loss(LOSS_READ);
		rest(&key, &c->slot);
		return;
	}
	find_carried(c->slot.place);
	bool carries = c->work.traceparent.len, child = carries && read_carried(c->slot.place);
	if (o && (!child || handed_on(&c->work.parent, o))) {
		parent_of(o, &c->work.parent);
		child = true;
	}
	bool yes = start_span((struct any_operation *)c, child ? &c->work.parent : NULL);
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
	struct span_key key = caller_key(ctx, ROLE_CLIENT);
	struct http_call *c = find_call(&key);

	if (!c || c->slot.state == OPERATION_IDLE || c->event.head.probe != probe_index)
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
	rest(&key, &c->slot);
}
