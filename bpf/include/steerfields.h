// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Trace context as fields of an HTTP/2 request, for steering: literals without indexing
// (https://www.rfc-editor.org/rfc/rfc7541#section-6.2.2), which go behind the fields that were encoded into a bytes.Buffer
// (https://github.com/golang/go/blob/go1.26.0/src/bytes/buffer.go) by calls of its WriteString. No state of HPACK changes on either side, and
// the program's own code cuts the block into frames.
#pragma once

#include "http2frame.h"
#include "steer.h"

#define FIELD_NAME 14 // length of the name, name, length of the value
#define FIELD_LENGTH (FIELD_NAME + TRACEPARENT_LEN)
#define STATE_FIELD 12 // length of the name, name

volatile const __s64 buffer_buf, buffer_off;
volatile const __u64 buffer_write_string;

static const __u8 parent_name[FIELD_NAME + 1] = "\x00\x0btraceparent\x37";

// put_fields makes the text of the fields and finds their pieces; of the tracestate, state bytes, only what stands before it. No
// state: no field for it.
static __always_inline void put_fields(struct steering *s, const struct span_head *head, __u32 state, __u64 bias)
{
	const __u8 state_name[STATE_FIELD + 1] = "\x00\x0atracestate";
	__u8 *text = s->text;

	if (state) {
		__u8 length[4] = {};
		__u32 width = put_length(length, state);
		__builtin_memcpy(text, state_name, STATE_FIELD);
		__builtin_memcpy(text + STATE_FIELD, length, 3);
		text += STATE_FIELD + 1;
		add_text(s, TEXT_STATE_FIELD, bias);
		add_piece(s, pieces.byte[length[0]], bias);
		if (width > 1) {
			text++;
			add_piece(s, pieces.byte[length[1]], bias);
		}
		if (width > 2) {
			text++;
			add_piece(s, pieces.byte[length[2]], bias);
		}
		s->length = STATE_FIELD + width;
		s->state_length = state;
		s->state_at = s->count;
		s->blank = pieces.byte[','] + bias;
	}
	__builtin_memcpy(text, parent_name, FIELD_NAME);
	format_traceparent(text + FIELD_NAME, head);
	s->length += FIELD_LENGTH;
	add_parent(s, head, TEXT_FIELD_NAME, TEXT_FIELD_END, bias);
}

// A bytes.Buffer's unread part; its address is 0 if that cannot be read.
static __always_inline struct go_slice unread(__u64 buffer)
{
	struct go_slice s = {}, none = {};
	__u64 off;

	if (bpf_probe_read_user(&off, sizeof(off), (void *)(buffer + buffer_off)) || bpf_probe_read_user(&s, sizeof(s), (void *)(buffer + buffer_buf)))
		return none;
	s.ptr += off;
	s.len -= off;
	s.cap -= off;
	return s;
}

// may_add_to says whether fields may be added to a content: not if it ends by a traceparent as another agent adds it, or if that cannot be read. Both are
// counted.
static __always_inline bool may_add_to(struct go_slice content)
{
	__u8 name[FIELD_NAME];

	if (content.ptr && content.len <= FIELD_LENGTH)
		return true;
	if (!content.ptr || bpf_probe_read_user(name, FIELD_NAME, (void *)(content.ptr + content.len - FIELD_LENGTH))) {
		count_loss(LOSS_INJECT_FAULT);
		return false;
	}
	if (__builtin_memcmp(name, parent_name, FIELD_NAME))
		return true;
	count_loss(LOSS_INJECT_WRITER);
	return false;
}
