// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// What the request that a call is a part of was called with, as it still lies in the target's memory: its trace ID and its
// tracestate are pieces of what the call's own request shall carry.
#pragma once

#include "callheader.h"
#include "steer.h"

#define CARRIED_LENGTH 36 // of "00-", the trace ID and "-"

// owner_of returns the call that the header belongs to, NULL if that is over.
static __always_inline struct http_call *owner_of(struct steering *s, __u32 target)
{
	struct span_key owner = { .target = target, .role = ROLE_CLIENT, .goroutine = s->note.owner };
	struct http_call *c = find_call(&owner);

	return c && c->work.header == s->note.header ? c : NULL;
}

// add_parent adds the pieces of a traceparent with what is written before and behind it.
static __always_inline void add_parent(struct steering *s, struct http_call *c, __u32 name, __u32 end, __u64 bias)
{
	add_text(s, name, bias);
	s->id_at = s->count;
	add_text(s, TEXT_VERSION, bias);
	add_hex(s, c->event.head.trace_id, sizeof(c->event.head.trace_id), bias);
	add_text(s, TEXT_DASH, bias);
	s->id_end = s->count;
	add_hex(s, c->event.head.span_id, sizeof(c->event.head.span_id), bias);
	add_text(s, end + (c->event.head.trace_flags & 3), bias);
}

// find_incoming looks for the header of the request that the call is a part of. Only while that is served: what is found was then
// reachable for the garbage collector at this moment, and stays so until the goroutine's next safe point, where the collector
// finds it among the arguments of the call that is made.
static __always_inline bool find_incoming(__u32 target, struct span_key *owner, struct http_call *c)
{
	struct any_operation *o = find_served(target, c->work.served);
	struct go_string none = {};

	if (!o || !c->work.served || o->operation.slot.begun != c->work.served_begun || !o->operation.slot.header)
		return false;
	c->work.traceparent = none;
	c->work.tracestate = none;
	start_walk(&c->work.walk, read_u64(o->operation.slot.header), &header_layout);
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAP_MAX_GROUPS; i++) {
		if (!scan_call_group(target, owner->goroutine))
			return true;
	}
	return false;
}

// carried_state is the address of the incoming request's tracestate if that is one line and the call's; else 0. Global, for a
// stack of its own.
__noinline __u64 carried_state(__u32 target, __u64 goroutine)
{
	struct span_key owner = { .target = target, .role = ROLE_CLIENT, .goroutine = goroutine };
	struct http_call *c = find_call(&owner);
	__u8 bytes[64];

	if (!c || !c->slot.trace_state_len || !find_incoming(target, &owner, c))
		return 0;
	struct go_string line = c->work.tracestate;
	if (line.len != c->slot.trace_state_len || line.len > TRACE_STATE_MAX)
		return 0;
#pragma clang loop unroll(disable)
	for (__u64 off = 0; off < TRACE_STATE_MAX; off += sizeof(bytes)) {
		if (off >= line.len)
			break;
		__u64 n = line.len - off;
		if (n > sizeof(bytes))
			n = sizeof(bytes);
		barrier_var(n);
		n = between_1_and(64, n);
		if (bpf_probe_read_user(bytes, n, (void *)(line.ptr + off)))
			return 0;
#pragma clang loop unroll(disable)
		for (__u64 i = 0; i < sizeof(bytes); i++) {
			if (i >= n)
				break;
			if (bytes[i] != c->event.text.data[(off + i) & (TRACE_STATE_MAX - 1)])
				return 0;
		}
	}
	return line.ptr;
}

// carried_id is the address of the incoming request's traceparent if it has the text of the steering, from its version to the trace
// ID, else 0.
__noinline __u64 carried_id(__u32 target, __u64 goroutine, __u64 writer, __u64 pos)
{
	struct span_key owner = { .target = target, .role = ROLE_CLIENT, .goroutine = goroutine };
	struct http_call *c = find_call(&owner);

	if (!c || !find_incoming(target, &owner, c) || c->work.traceparent.len < CARRIED_LENGTH)
		return 0;
	__u64 ptr = c->work.traceparent.ptr;
	return holds(target, writer, ptr, CARRIED_LENGTH | pos << 16) ? ptr : 0;
}

// next_piece takes what the goroutine shall write next; false if there is nothing more. What the incoming request has is looked for
// at the very moment.
static __always_inline bool next_piece(struct span_key *key, struct steering *s, struct go_string *piece)
{
	if (s->next == s->state_at && s->state_length) {
		s->since = bpf_ktime_get_boot_ns();
		piece->ptr = s->blanked ? 0 : carried_state(key->target, s->note.owner);
		piece->len = s->state_length;
		if (piece->ptr || !s->blank)
			s->state_at = STEER_NOWHERE;
		if (piece->ptr)
			return true;
		if (s->blank) { // commas: a list without members
			s->blanked = 1;
			s->state_length--;
			piece->ptr = s->blank & PIECE_ADDR;
			piece->len = 1;
			return true;
		}
	}
	if (s->next == s->id_at) {
		s->id_at = STEER_NOWHERE;
		piece->ptr = carried_id(key->target, s->note.owner, key->goroutine, s->pos);
		piece->len = CARRIED_LENGTH;
		if (piece->ptr) {
			s->next = s->id_end;
			s->pos += CARRIED_LENGTH;
			s->since = bpf_ktime_get_boot_ns();
			return true;
		}
	}
	return take_piece(s, piece);
}
