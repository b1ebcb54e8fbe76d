// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// What the request that a call is a part of was called with, as it still lies in the target's memory: its trace ID and its
// tracestate are pieces of what the call's own request shall carry.
#pragma once

#include "callheader.h"
#include "incoming.h"

// owner_of returns the call that the header belongs to, NULL if that is over.
static __always_inline struct http_call *owner_of(struct steering *s)
{
	struct http_call *c = (struct http_call *)find_ref(s->note.owner);

	return c && c->work.header == s->note.header ? c : NULL;
}

// find_incoming looks for the header of the request that the call is a part of. Only while that is served: what is found was then
// reachable for the garbage collector at this moment, and stays so until the goroutine's next safe point, where the collector
// finds it among the arguments of the call that is made.
static __always_inline bool find_incoming(struct http_call *c)
{
	struct any_operation *o = find_ref(c->work.served);
	struct go_string none = {};

	if (!o || !o->operation.slot.header)
		return false;
	c->work.traceparent = none;
	c->work.tracestate = none;
	start_walk(&c->work.walk, read_u64(o->operation.slot.header), &header_layout);
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAP_MAX_GROUPS; i++) {
		if (!scan_call_group(c->slot.place))
			return true;
	}
	return false;
}

__noinline __u64 carried_state(__u64 owner)
{
	struct http_call *c = (struct http_call *)find_ref(owner);

	if (!c || !c->slot.trace_state_len || !find_incoming(c))
		return 0;
	return is_state(c->work.tracestate, c->event.text.data, c->slot.trace_state_len) ? c->work.tracestate.ptr : 0;
}

__noinline __u64 carried_id(__u32 target, __u64 owner, __u64 writer, __u64 pos)
{
	struct http_call *c = (struct http_call *)find_ref(owner);

	if (!c || !find_incoming(c) || c->work.traceparent.len < CARRIED_LENGTH)
		return 0;
	__u64 ptr = c->work.traceparent.ptr;
	return holds(target, writer, ptr, CARRIED_LENGTH | pos << 16) ? ptr : 0;
}
