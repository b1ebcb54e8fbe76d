// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Trace context at the end of an HTTP/2 request's field block, as literal fields without indexing
// (https://www.rfc-editor.org/rfc/rfc7541#section-6.2.2): in a buffer of the target that ends with the block's last frame
// (https://www.rfc-editor.org/rfc/rfc9113#section-4.1).
#pragma once

#include "inject.h"
#include "tracestate.h"

#define FRAME_HEADER 9
#define FRAME_HEADERS 1
#define FRAME_CONTINUATION 9
#define FLAG_END_HEADERS 0x4
#define FLAG_PADDED 0x8
#define FRAME_MAX 16384 // every peer takes as much: https://www.rfc-editor.org/rfc/rfc9113#section-4.2

#define TRACEPARENT_FIELD (2 + 11 + 1 + TRACEPARENT_LEN)
#define TRACE_STATE_FIELD (2 + 10) // and the length and the value

struct frame_buffer {
	__u64 data; // address of its bytes
	__u64 count; // address of the number of bytes in use
	__u64 n; // that number
};

// put_length writes an integer with a 7-bit prefix (https://www.rfc-editor.org/rfc/rfc7541#section-5.1); returns its size.
static __always_inline __u32 put_length(__u8 *out, __u32 n)
{
	if (n < 127) {
		out[0] = n;
		return 1;
	}
	n -= 127;
	out[0] = 127;
	if (n < 128) {
		out[1] = n;
		return 2;
	}
	out[1] = (n & 127) | 128;
	out[2] = n >> 7;
	return 3;
}

// fields_size is how many bytes write_fields will write.
static __always_inline __u64 fields_size(struct operation_slot *slot)
{
	__u8 length[3];
	__u32 n = slot->trace_state_len;

	return TRACEPARENT_FIELD + (n ? TRACE_STATE_FIELD + put_length(length, n) + n : 0);
}

// write_fields writes the fields to addr, where nothing counts yet. Returns their size, 0 if that failed. Global, for a stack of
// its own.
__noinline int write_fields(__u32 place, __u64 addr)
{
	struct any_operation *o = operation_at(place);
	__u8 field[TRACEPARENT_FIELD] = "\x00\x0btraceparent\x37", back[TRACEPARENT_FIELD];
	__u8 name[TRACE_STATE_FIELD + 3] = "\x00\x0atracestate";

	if (!o)
		return 0;
	format_traceparent(field + 14, &o->operation.head);
	if (!write_checked(WRITE_CONTEXT, addr, field, back, sizeof(field)))
		return 0;
	__u64 n = TRACEPARENT_FIELD, off = o->operation.slot.trace_state, state = o->operation.slot.trace_state_len;
	barrier_var(off);
	barrier_var(state);
	if (!state || state > TRACE_STATE_MAX || off > OPERATION_SIZE - TRACE_STATE_MAX)
		return n;
	barrier_var(state);
	state = between_1_and(TRACE_STATE_MAX, state);
	if (!write_user(WRITE_STATE_NAME, addr + n, name, TRACE_STATE_FIELD))
		return 0;
	n += TRACE_STATE_FIELD;
	__u64 width = put_length(name, state);
	barrier_var(width);
	width = between_1_and(4, width);
	if (!write_user(WRITE_STATE_LENGTH, addr + n, name, width))
		return 0;
	n += width;
	if (!write_user(WRITE_STATE, addr + n, (__u8 *)o + off, state))
		return 0;
	return n + state;
}

static __always_inline void put_frame_length(__u8 *header, __u32 n)
{
	header[0] = n >> 16;
	header[1] = n >> 8;
	header[2] = n;
}

static __always_inline bool write_frame_length(enum write_step step, __u64 frame, __u8 *header)
{
	return write_user(step, frame, header, 3);
}

static __always_inline bool write_count(enum write_step step, struct frame_buffer *b, __u64 n)
{
	return write_user(step, b->count, &n, sizeof(n));
}

// grow_frame adds size bytes that lie behind it to the buffer's last frame. Both places are written once as they are: what is
// writable then is so a moment later. Should the second write fail all the same, the first is taken back.
static __always_inline bool grow_frame(struct frame_buffer *b, __u64 frame, __u8 *header, __u32 length, __u64 size)
{
	if (!write_frame_length(TRY_FRAME_LENGTH, frame, header) || !write_count(TRY_COUNT, b, b->n))
		return false;
	put_frame_length(header, length + size);
	if (!write_frame_length(WRITE_FRAME_LENGTH, frame, header))
		return false;
	if (write_count(WRITE_COUNT, b, b->n + size))
		return true;
	put_frame_length(header, length);
	write_frame_length(0, frame, header);
	return false;
}

// add_fields adds the trace context of an operation, size bytes for which there is room, to the request whose last frame, frame
// bytes with its header, the buffer should end with.
static __always_inline void add_fields(struct operation_slot *slot, struct frame_buffer *b, __u64 frame, __u64 size)
{
	__u8 header[FRAME_HEADER];

	if (frame < FRAME_HEADER || frame > b->n || frame - FRAME_HEADER + size > FRAME_MAX) { // or its beginning was flushed already
		count_loss(LOSS_INJECT_NO_ROOM);
		return;
	}
	__u64 at = b->data + b->n - frame;
	if (bpf_probe_read_user(header, sizeof(header), (void *)at)) {
		count_loss(LOSS_INJECT_FAULT);
		return;
	}
	__u32 length = header[0] << 16 | header[1] << 8 | header[2];
	if (length != frame - FRAME_HEADER || (header[3] != FRAME_HEADERS && header[3] != FRAME_CONTINUATION) ||
	    (header[4] & (FLAG_END_HEADERS | FLAG_PADDED)) != FLAG_END_HEADERS) {
		count_loss(LOSS_INJECT_WRITER);
		return;
	}
	if (write_fields(slot->place, b->data + b->n) != size || !grow_frame(b, at, header, length, size))
		count_loss(LOSS_INJECT_FAULT);
}
