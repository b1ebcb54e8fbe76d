// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// What a span needs of a call's metadata.MD, a map[string][]string whose keys are in lower case:
// https://github.com/grpc/grpc-go/blob/v1.80.0/metadata/metadata.go
#pragma once

#include "call.h"

#define WORD(a, b, c, d, e, f, g, h) \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 | (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)

#define NAME_MAX 11
#define LOWER 0x2020202020202020ULL // makes letters lower case

static __always_inline bool is_traceparent(__u64 n, const __u64 *w)
{
	return n == 11 && (w[0] | LOWER) == WORD('t', 'r', 'a', 'c', 'e', 'p', 'a', 'r') && (w[1] | (LOWER & 0xffffff)) == WORD('e', 'n', 't', 0, 0, 0, 0, 0);
}

// is_tracestate: of a name of 10 bytes.
static __always_inline bool is_tracestate(const __u64 *w)
{
	return (w[0] | LOWER) == WORD('t', 'r', 'a', 'c', 'e', 's', 't', 'a') && (w[1] | (LOWER & 0xffff)) == WORD('t', 'e', 0, 0, 0, 0, 0, 0);
}

static __always_inline void keep_traceparent(struct grpc_call *c, struct go_string value, __u64 values)
{
	c->work.traceparent = value;
	c->work.traceparents += values;
}

// kind_of_name is for a name of n bytes at w.
static __always_inline enum name_kind kind_of_name(__u64 n, const __u64 *w)
{
	if (is_traceparent(n, w))
		return NAME_TRACEPARENT;
	if (n != 10)
		return NAME_OTHER;
	if (is_tracestate(w))
		return NAME_TRACESTATE;
	return w[0] == WORD(':', 'a', 'u', 't', 'h', 'o', 'r', 'i') && w[1] == WORD('t', 'y', 0, 0, 0, 0, 0, 0) ? NAME_AUTHORITY : NAME_OTHER;
}

// metadata_name returns what a field's name is, NAME_OTHER also if it cannot be read.
static __always_inline enum name_kind metadata_name(struct grpc_call *c, struct go_string name)
{
	__u64 w[2] = {}, n = name.len, kind;

	barrier_var(n);
	if (n < 10 || n > NAME_MAX)
		return NAME_OTHER;
	kind = recall_name(c->event.head.target, METADATA_NAMES, name.ptr, n, c->work.bias);
	if (kind)
		return kind;
	if (bpf_probe_read_user(w, n, (void *)name.ptr))
		return NAME_OTHER;
	kind = kind_of_name(n, w);
	remember_name(c->event.head.target, METADATA_NAMES, name.ptr, n, c->work.bias, kind);
	return kind;
}

// keep_field keeps what the span needs of one field of the metadata.
static __always_inline void keep_field(struct grpc_call *c, __u32 role, struct go_string name, struct go_slice values)
{
	enum name_kind kind = metadata_name(c, name);

	if (kind == NAME_TRACEPARENT) {
		keep_traceparent(c, first_value(values), values.len);
	} else if (kind == NAME_TRACESTATE && role != ROLE_SERVER) {
		if (values.len == 1)
			c->work.tracestate = first_value(values);
	} else if (kind == NAME_TRACESTATE) {
		c->event.trace_state = append_trace_state(&c->event.text, values);
		c->slot.trace_state = __builtin_offsetof(struct grpc_call, event.text.data) + c->event.trace_state.off;
		c->slot.trace_state_len = c->event.trace_state.len;
	} else if (kind == NAME_AUTHORITY && role == ROLE_SERVER) {
		c->event.authority = append(&c->event.text, first_value(values), AUTHORITY_MAX);
	}
}

// scan_group looks through the eight slots of the next group of the metadata; 0 when it was the last. A global function: the
// verifier checks it once, not once for each group.
__noinline int scan_group(__u32 place, __u32 role)
{
	struct grpc_call *c = call_at(place);

	if (!c || walk_done(&c->work.walk))
		return 0;
	__u64 group = next_group(&c->work.walk, &metadata_layout);
	if (!read_group(c->group, group, &metadata_layout))
		return !walk_done(&c->work.walk);
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAP_SLOTS; i++) {
		__u32 k = metadata_layout.keys + i * metadata_layout.key_stride;
		__u32 v = metadata_layout.elems + i * metadata_layout.elem_stride;
		__u32 s = metadata_layout.control + i;
		if (s >= MAP_GROUP_MAX || k > MAP_GROUP_MAX - sizeof(struct go_string) || v > MAP_GROUP_MAX - sizeof(struct go_slice))
			return 0;
		if (slot_filled(c->group[s], &metadata_layout))
			keep_field(c, role, *(struct go_string *)(c->group + k), *(struct go_slice *)(c->group + v));
	}
	return !walk_done(&c->work.walk);
}

static __always_inline void read_metadata(__u32 role, struct grpc_call *c, __u64 map)
{
	if (!map)
		return;
	start_walk(&c->work.walk, map, &metadata_layout);
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAP_MAX_GROUPS; i++) {
		if (!scan_group(c->slot.place, role))
			return;
	}
	count_loss(LOSS_HEADERS);
}
