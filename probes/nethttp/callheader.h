// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The trace context in a header of the target: of the call's own request, or of the one that the call is a part of.
#pragma once

#include "client.h"

// keep_first keeps the first of a header's values. False if it cannot be read.
static __always_inline bool keep_first(struct go_string *to, struct go_slice values)
{
	struct go_string none = {};

	*to = none;
	return !values.len || !bpf_probe_read_user(to, sizeof(*to), (void *)values.ptr);
}

// scan_call_group looks for trace context among the eight slots of the next group of the header map; 0 when it was the last.
__noinline int scan_call_group(__u32 place)
{
	struct http_call *c = call_at(place);

	if (!c || walk_done(&c->work.walk))
		return 0;
	__u64 group = next_group(&c->work.walk, &header_layout);
	if (!read_group(c->group, group, &header_layout)) {
		// A bucket of an older map may lie where nobody has written yet.
		c->work.walk.unread |= group && header_layout.swiss;
		return !walk_done(&c->work.walk);
	}
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAP_SLOTS; i++) {
		__u32 k = header_layout.keys + i * header_layout.key_stride;
		__u32 v = header_layout.elems + i * header_layout.elem_stride;
		__u32 s = header_layout.control + i;
		if (s >= MAP_GROUP_MAX || k > MAP_GROUP_MAX - sizeof(struct go_string) || v > MAP_GROUP_MAX - sizeof(struct go_slice))
			return 0;
		struct go_string name = *(struct go_string *)(c->group + k);
		if (!slot_filled(c->group[s], &header_layout) || name.len < TRACESTATE_NAME_LEN || name.len > TRACEPARENT_NAME_LEN)
			continue; // nothing else is looked for here
		struct go_slice values = *(struct go_slice *)(c->group + v);
		enum name_kind kind = header_name(c->event.head.target, name, c->work.bias);
		bool read = kind != NAME_UNREAD;
		if (kind == NAME_TRACEPARENT)
			read = keep_first(&c->work.traceparent, values);
		else if (kind == NAME_TRACESTATE && values.len == 1)
			read = keep_first(&c->work.tracestate, values);
		c->work.walk.unread |= !read;
	}
	return !walk_done(&c->work.walk);
}
