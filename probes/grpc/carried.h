// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// What the operation that a call is a part of came with: the header of the HTTP request that is being served, or the metadata that the
// call's context has from a server of gRPC. Both are a map[string][]string.
#pragma once

#include "client.h"
#include "incoming.h"

volatile const struct addr_set incoming_keys; // of metadata in contexts

// incoming_map is the address of that map, 0 if there is none that is alive for certain: the HTTP request's while its handler runs, and the
// context's while the call is under way.
static __always_inline __u64 incoming_map(struct grpc_call *c)
{
	struct any_operation *o = find_ref(c->work.served);

	if (o && o->operation.slot.header)
		return read_u64(o->operation.slot.header);
	struct context_value metadata = { .keys = &incoming_keys };
	find_values(c, &metadata, &metadata, NULL);
	return metadata.data;
}

// find_incoming looks for trace context there. What is found was then reachable for the garbage collector at this moment, and stays so until the
// goroutine's next safe point, where the collector finds it among the arguments of the call that is made. Global: the verifier checks
// it once.
__noinline int find_incoming(__u32 place)
{
	struct grpc_call *c = call_at(place);
	struct go_string none = {};
	__u64 map = c ? incoming_map(c) : 0;

	if (!map)
		return 0;
	c->work.traceparent = none;
	c->work.tracestate = none;
	read_metadata(ROLE_STREAM, c, map);
	return 1;
}

__noinline __u64 carried_state(__u64 owner)
{
	struct grpc_call *c = (struct grpc_call *)find_ref(owner);

	if (!c || !c->slot.trace_state_len || !find_incoming(c->slot.place))
		return 0;
	return is_state(c->work.tracestate, c->event.text.data, c->slot.trace_state_len) ? c->work.tracestate.ptr : 0;
}

__noinline __u64 carried_id(__u32 target, __u64 owner, __u64 writer, __u64 pos)
{
	struct grpc_call *c = (struct grpc_call *)find_ref(owner);

	if (!c || !find_incoming(c->slot.place) || c->work.traceparent.len < CARRIED_LENGTH)
		return 0;
	__u64 ptr = c->work.traceparent.ptr;
	return holds(target, writer, ptr, CARRIED_LENGTH | pos << 16) ? ptr : 0;
}
