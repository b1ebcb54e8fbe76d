// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The header lines that a span needs, read by walking the header's map once.
#pragma once

#include "server.h"

// keep_header keeps what a span needs of one header line.
static __always_inline void keep_header(struct http_request *r, struct go_string name, struct go_slice values)
{
	struct text_area *t = &r->event.text;

	switch (header_name(r->event.head.target, name, r->work.bias)) {
	case NAME_TRACEPARENT:
		r->work.traceparent = first_value(values);
		r->work.traceparents = values.len;
		break;
	case NAME_TRACESTATE:
		r->event.trace_state = append_trace_state(t, values);
		r->slot.trace_state = __builtin_offsetof(struct http_request, event.text.data) + r->event.trace_state.off;
		r->slot.trace_state_len = r->event.trace_state.len;
		break;
	case NAME_USER_AGENT:
		r->event.user_agent = append(t, first_value(values), USER_AGENT_MAX);
		break;
	case NAME_FORWARDED:
		r->event.forwarded = append(t, first_value(values), FORWARD_MAX);
		break;
	case NAME_FORWARDED_FOR:
		r->event.forwarded_for = append(t, first_value(values), FORWARD_MAX);
		break;
	case NAME_FORWARDED_PROTO:
		r->event.forwarded_proto = append(t, first_value(values), FORWARD_MAX);
		break;
	case NAME_FORWARDED_HOST:
		r->event.forwarded_host = append(t, first_value(values), FORWARD_MAX);
		break;
	default:
		break;
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
