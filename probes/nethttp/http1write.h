// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Trace context for an HTTP/1 request: header lines in the bufio.Writer that the request is written to.
#pragma once

#include "bufio.h"

#define TRACEPARENT_LINE (13 + TRACEPARENT_LEN + 2)
#define TRACE_STATE_NAME 12

// write_lines writes the header lines to addr, where nothing counts yet. Returns their length, 0 if that failed. Global, for a
// stack of its own.
__noinline int write_lines(__u32 place, __u64 addr)
{
	struct http_call *c = call_at(place);
	__u8 line[TRACEPARENT_LINE] = "Traceparent: ", back[TRACEPARENT_LINE];
	__u64 n = TRACEPARENT_LINE;

	if (!c)
		return 0;
	format_traceparent(line + 13, &c->event.head);
	line[TRACEPARENT_LINE - 2] = '\r';
	line[TRACEPARENT_LINE - 1] = '\n';
	if (!write_checked(WRITE_CONTEXT, addr, line, back, sizeof(line)))
		return 0;
	__u64 state = c->slot.trace_state_len;
	barrier_var(state);
	if (!state || state > TRACE_STATE_MAX)
		return n;
	barrier_var(state);
	state = between_1_and(TRACE_STATE_MAX, state);
	const __u8 name[TRACE_STATE_NAME] = "Tracestate: ";
	if (!write_user(WRITE_STATE_NAME, addr + n, name, sizeof(name)))
		return 0;
	n += sizeof(name);
	if (!write_user(WRITE_STATE, addr + n, c->event.text.data, state)) // it comes first in the text
		return 0;
	n += state;
	if (!write_user(WRITE_END, addr + n, line + TRACEPARENT_LINE - 2, 2))
		return 0;
	return n + 2;
}

// write_to_bufio appends the header lines to a bufio.Writer of the target, or leaves it as it is.
static __always_inline void write_to_bufio(struct http_call *c, __u64 writer)
{
	__u64 size = TRACEPARENT_LINE;
	struct bufio b;

	if (c->slot.trace_state_len)
		size += TRACE_STATE_NAME + c->slot.trace_state_len + 2;
	if (!open_bufio(&b, writer, size))
		return;
	if (write_lines(c->slot.place, b.buf.ptr + b.n) != size || !advance(WRITE_COUNT, writer, b.n + size))
		count_loss(LOSS_INJECT_FAULT);
}
