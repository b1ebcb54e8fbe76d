// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The tracestate that goes with a traceparent (https://www.w3.org/TR/trace-context-2/#tracestate-header).
#pragma once

#include "operation.h"
#include "text.h"

#define TRACE_STATE_MAX 512
#define TRACE_STATE_LINES 4

// append_trace_state joins the lines of the header to one list. What would make it too long is left out whole: a list that is
// cut in its middle says something else.
static __always_inline struct span_text append_trace_state(struct text_area *t, struct go_slice lines)
{
	struct span_text all = {};

	for (int i = 0; i < TRACE_STATE_LINES && i < lines.len; i++) {
		struct go_string line = read_string_header(lines.ptr + i * sizeof(line));
		if (!line.len)
			continue;
		if (line.len > TRACE_STATE_MAX || all.len + line.len > TRACE_STATE_MAX) {
			count_loss(LOSS_TRUNCATED);
			break;
		}
		if (all.len)
			append_byte(t, ',');
		struct span_text more = append(t, line, TRACE_STATE_MAX);
		if (more.len & TEXT_BY_ADDRESS) { // a list without it says something else, too
			count_loss(LOSS_TRUNCATED);
			t->used = all.len ? all.off : more.off;
			all.len = 0;
			break;
		}
		if (!all.len)
			all = more;
		else if (more.len)
			all.len = more.off + more.len - all.off;
	}
	return all;
}

// copy_trace_state copies the operation's tracestate to the beginning of an empty text.
static __always_inline struct span_text copy_trace_state(struct text_area *t, struct any_operation *o)
{
	__u64 off = o->operation.slot.trace_state, n = o->operation.slot.trace_state_len;
	struct span_text piece = {};

	barrier_var(off);
	barrier_var(n);
	if (!n || n > TRACE_STATE_MAX || off > OPERATION_SIZE - TRACE_STATE_MAX)
		return piece;
	if (bpf_probe_read_kernel(t->data, n, (void *)o + off))
		return piece;
	t->used = n;
	piece.len = n;
	return piece;
}
