// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// What a call is, read where it begins. If something cannot be read at that moment (the kernel moves a page), it is read where a request is written, as
// its goroutine has read all of that by then; at the latest where the call ends.
#pragma once

#include "callheader.h"
#include "postponed.h"

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

// read_url keeps the request's method and the parts of its URL. 0 if that fails. Global: the verifier checks it once.
__noinline int read_url(__u32 place, __u64 url)
{
	struct http_call *c = call_at(place);

	if (!c || !read_struct(c->group, url_size, URL_BUFFER, url))
		return 0;
	const __u8 *u = c->group;
	struct text_area *t = &c->event.text;
	struct go_string opaque = STRING_AT(u, url_opaque), raw_path = STRING_AT(u, url_raw_path);
	struct go_string scheme = STRING_AT(u, url_scheme), host = STRING_AT(u, url_host), path, query = STRING_AT(u, url_raw_query);
	c->event.user_info = WORD_AT(u, url_user) != 0;
	c->event.force_query = u[url_force_query];
	c->event.opaque = opaque.len != 0;
	c->event.escaped = !c->event.opaque && raw_path.len;
	path = c->event.opaque ? opaque : c->event.escaped ? raw_path : STRING_AT(u, url_path);
	c->event.method = append_literal(t, c->work.method, METHOD_MAX, c->work.bias);
	if (!read_parts(c, scheme, host, path, query)) {
		c->event.scheme = append(t, scheme, SCHEME_MAX);
		c->event.url_host = append(t, host, HOST_MAX);
		c->event.path = append(t, path, PATH_MAX);
		c->event.query = append(t, query, QUERY_MAX);
	}
	c->event.fragment = append(t, STRING_AT(u, url_fragment), FRAGMENT_MAX);
	return 1;
}

// read_call keeps what is to be known of the request when the call begins. False if that fails.
static __always_inline bool read_call(struct http_call *c)
{
	const __u8 *req = c->group; // is not needed yet

	if (!read_struct(c->group, request_size, REQUEST_BUFFER, c->work.request))
		return false;
	c->work.method = STRING_AT(req, request_method);
	c->work.url = WORD_AT(req, request_url);
	c->work.context.type = WORD_AT(req, request_ctx);
	c->work.context.data = WORD_AT(req, request_ctx + 8);
	c->work.header = WORD_AT(req, request_header);
	start_walk(&c->work.walk, c->work.header, &header_layout);
	c->event.resends = count_resends(WORD_AT(req, request_response));
	return true;
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

// find_served_by finds the operation that a call of the goroutine with a number is a part of: its place and 1, or 0 if there is none. Global: the verifier
// checks it once.
__noinline int find_served_by(__u32 place, __u64 number, __u64 creator)
{
	struct http_call *c = call_at(place);
	struct goroutine g = { .number = number, .creator = creator };

	if (!c)
		return 0;
	__u32 target = c->event.head.target;
	struct any_operation *o = find_by_context(target, c->work.context, c->work.bias, serving(target, c->slot.owner.goroutine));
	if (!o)
		o = find_by_goroutine(target, &g);
	return o ? o->operation.slot.place + 1 : 0;
}

// open_call reads what a call of the goroutine with a number is, by what it has begun with, and makes it known to those who write its request. 0 if something
// cannot be read. Global, for a stack of its own.
__noinline int open_call(__u32 place, __u64 number, __u64 creator)
{
	struct http_call *c = call_at(place);

	if (!c)
		return 0;
	struct span_key key = c->slot.owner;
	__u64 call = ref_to(&c->slot), start = c->event.head.start;
	__u32 probe = c->event.head.probe;
	__builtin_memset(&c->event, 0, __builtin_offsetof(struct http_client_event, text.data));
	__builtin_memset(&c->work.header, 0, sizeof(c->work) - __builtin_offsetof(struct http_call_work, header));
	c->slot.trace_state_len = 0;
	c->event.head.target = key.target;
	c->event.head.start = start;
	c->event.head.probe = probe;
	if (!number)
		return 0;
	own_number(&key, &c->slot, number);
	if (!read_call(c))
		return 0;
	__u32 found = find_served_by(place, number, creator);
	struct any_operation *o = found ? operation_at(found - 1) : NULL;
	if (o) {
		take_trace_state(c, o);
		c->work.served = ref_to(&o->operation.slot);
	}
	if (!read_url(place, c->work.url))
		return 0;
	find_carried(place);
	if (c->work.walk.unread)
		return 0;
	bool carries = c->work.traceparent.len, child = carries && read_carried(place);
	if (o && (!child || handed_on(&c->work.parent, o))) {
		parent_of(o, &c->work.parent);
		child = true;
	}
	bool yes = start_span((struct any_operation *)c, child ? &c->work.parent : NULL);
	c->event.head.probe = probe; // the one that it has begun with
	if (ref_to(&c->slot) != call || c->slot.state != OPERATION_UNREAD) // it has ended meanwhile
		return 0;
	c->slot.state = yes ? OPERATION_SAMPLED : OPERATION_UNSAMPLED;
	if (carries || !inject_enabled)
		c->work.header = 0;
	else
		announce(&key, c);
	return 1;
}

// put_off leaves a call that could not be read to those who write requests, unless it has ended meanwhile.
static __always_inline void put_off(struct http_call *c, __u64 call)
{
	if (ref_to(&c->slot) != call || c->slot.state != OPERATION_UNREAD)
		return;
	c->work.header = 0;
	postpone(&c->slot);
}

enum reading { READ_NOTHING, READ_FAILED, READ_DONE };

// open_one opens the i-th of a target's calls that could not be read where they began. Global, for a stack of its own.
__noinline int open_one(__u32 target, __u32 i)
{
	struct span_key k = { .target = target, .role = ROLE_CLIENT, .goroutine = i };
	__u64 call = take_postponed(&k);
	struct http_call *c = (struct http_call *)find_unread(call);

	if (!c)
		return call ? READ_FAILED : READ_NOTHING;
	__u64 g = c->slot.owner.goroutine;
	if (open_call(c->slot.place, read_u64(g + runtime_g_goid), g_parent_goid == ABSENT ? 0 : read_u64(g + g_parent_goid)))
		return READ_DONE;
	put_off(c, call);
	return READ_FAILED;
}

// open_postponed opens a target's calls that could not be read where they began: true if there was one.
static __always_inline bool open_postponed(__u32 target)
{
	bool opened = false;

#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_POSTPONED; i++) {
		int reading = open_one(target, i);
		if (reading == READ_NOTHING)
			break;
		opened |= reading == READ_DONE;
	}
	return opened;
}

// find_owner returns whose header a map is, NULL if it is nobody's.
static __always_inline struct header_owner *find_owner(struct header_key *k)
{
	struct header_owner *owner = bpf_map_lookup_elem(&calls_by_header, k);

	return owner || !open_postponed(k->target) ? owner : bpf_map_lookup_elem(&calls_by_header, k);
}
