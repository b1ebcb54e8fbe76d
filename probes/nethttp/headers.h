// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The header lines that a span needs, read by walking the header's map once.
#pragma once

#include "server.h"

// The lengths of the names below: most lines are passed by without reading theirs.
#define NAME_LENGTHS (1 << 9 | 1 << 10 | 1 << 11 | 1 << 15 | 1 << 16 | 1 << 17)

// keep_header keeps what a span needs of one header line.
static __always_inline void keep_header(struct http_request *r, struct go_string name, struct go_slice values)
{
	__u64 w[3] = {};
	struct text_area *t = &r->event.text;
	__u64 n = name.len;

	barrier_var(n);
	if (n > 17 || !(1 << n & NAME_LENGTHS) || bpf_probe_read_user(w, n, (void *)name.ptr))
		return;
	if (IS_TRACEPARENT(n, w)) {
		r->work.traceparent = first_value(values);
		r->work.traceparents = values.len;
	} else if (IS_TRACESTATE(n, w)) {
		r->event.trace_state = append_trace_state(t, values);
		r->slot.trace_state = __builtin_offsetof(struct http_request, event.text.data) + r->event.trace_state.off;
		r->slot.trace_state_len = r->event.trace_state.len;
	} else if (n == 10 && w[0] == WORD('U', 's', 'e', 'r', '-', 'A', 'g', 'e') && w[1] == WORD('n', 't', 0, 0, 0, 0, 0, 0)) {
		r->event.user_agent = append(t, first_value(values), USER_AGENT_MAX);
	} else if (n == 9 && w[0] == WORD('F', 'o', 'r', 'w', 'a', 'r', 'd', 'e') && w[1] == WORD('d', 0, 0, 0, 0, 0, 0, 0)) {
		r->event.forwarded = append(t, first_value(values), FORWARD_MAX);
	} else if (w[0] == WORD('X', '-', 'F', 'o', 'r', 'w', 'a', 'r')) {
		if (n == 15 && w[1] == WORD('d', 'e', 'd', '-', 'F', 'o', 'r', 0))
			r->event.forwarded_for = append(t, first_value(values), FORWARD_MAX);
		else if (n == 17 && w[1] == WORD('d', 'e', 'd', '-', 'P', 'r', 'o', 't') && w[2] == WORD('o', 0, 0, 0, 0, 0, 0, 0))
			r->event.forwarded_proto = append(t, first_value(values), FORWARD_MAX);
		else if (n == 16 && w[1] == WORD('d', 'e', 'd', '-', 'H', 'o', 's', 't'))
			r->event.forwarded_host = append(t, first_value(values), FORWARD_MAX);
	}
}

// scan_group looks through the eight slots of the next group of the header map; 0 when it was the last. A global function: the
// verifier checks it once, not once for each group.
__noinline int scan_group(__u32 place)
{
	struct http_request *r = request_at(place);

	if (!r || walk_done(&r->work.walk))
		return 0;
	__u64 group = next_group(&r->work.walk, &header_layout);
	if (!read_group(r->group, group, &header_layout))
		return !walk_done(&r->work.walk);
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAP_SLOTS; i++) {
		__u32 k = header_layout.keys + i * header_layout.key_stride;
		__u32 v = header_layout.elems + i * header_layout.elem_stride;
		__u32 c = header_layout.control + i;
		if (c >= MAP_GROUP_MAX || k > MAP_GROUP_MAX - sizeof(struct go_string) || v > MAP_GROUP_MAX - sizeof(struct go_slice))
			return 0;
		if (slot_filled(r->group[c], &header_layout))
			keep_header(r, *(struct go_string *)(r->group + k), *(struct go_slice *)(r->group + v));
	}
	return !walk_done(&r->work.walk);
}

// read_parent parses the traceparent header: 1 if it names a valid parent.
__noinline int read_parent(__u32 place)
{
	struct http_request *r = request_at(place);
	__u8 text[TRACEPARENT_LEN + 1];

	return r && parse_traceparent(r->event.head.target, r->work.traceparent, text, &r->work.parent);
}
