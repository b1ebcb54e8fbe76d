// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Trace context for an HTTP/2 request: literal fields without indexing (https://www.rfc-editor.org/rfc/rfc7541#section-6.2.2) at
// the end of its field block. (*ClientConn).writeHeaders writes the block's frames to a bufio.Writer and flushes that; just
// before, the last frame of the block (https://www.rfc-editor.org/rfc/rfc9113#section-4.1) is what the buffer ends with.
#pragma once

#include "bufio.h"

#define FRAME_HEADER 9
#define FRAME_HEADERS 1
#define FRAME_CONTINUATION 9
#define FLAG_END_HEADERS 0x4
#define FLAG_PADDED 0x8
#define FRAME_MAX 16384 // every peer takes as much: https://www.rfc-editor.org/rfc/rfc9113#section-4.2
#define HEADER_LIST_MIN 16384 // a peer that takes less may refuse what is added

#define TRACEPARENT_FIELD (2 + 11 + 1 + TRACEPARENT_LEN)
#define TRACE_STATE_FIELD (2 + 10) // and the length and the value

volatile const struct addr_set conn_writer_itabs;
volatile const __s64 bufio_wr, conn_writer_err, conn_werr, conn_framer, conn_peer_max_header_list, framer_wbuf;

// The goroutine of a stream and that of its caller, for programs whose goroutines do not know their creator (before Go 1.21).
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10000);
	__type(key, struct span_key);
	__type(value, __u64);
} stream_callers SEC(".maps");

// begin_stream notes whose stream this goroutine is. 2: req
static __always_inline void begin_stream(struct pt_regs *ctx)
{
	struct span_key key = { .target = target_id(ctx), .role = ROLE_CLIENT, .goroutine = goroutine_id(ctx) };
	struct header_key k = { .target = key.target, .header = read_u64(GO_ARG2(ctx) + request_header) };
	struct header_owner *owner = bpf_map_lookup_elem(&calls_by_header, &k);

	if (!owner)
		return;
	if (!owner->goroutine)
		count_loss(LOSS_INJECT_SHARED);
	else
		bpf_map_update_elem(&stream_callers, &key, &owner->goroutine, BPF_ANY);
}

static __always_inline __u64 stream_caller(struct pt_regs *ctx, struct span_key *stream)
{
	if (g_parent_goid != ABSENT)
		return read_u64(GO_G(ctx) + g_parent_goid);
	__u64 *caller = bpf_map_lookup_elem(&stream_callers, stream);
	return caller ? *caller : 0;
}

// last_frame returns the length of the frame that was written last, its header included, 0 if that cannot be told. The
// connection is found by way of its writer, which has a pointer to a field of it.
static __always_inline __u64 last_frame(__u64 writer, __u64 bias)
{
	struct go_iface w = read_iface(writer + bufio_wr);

	if (!in_set(&conn_writer_itabs, w.type - bias))
		return 0;
	if (conn_writer_err == ABSENT || conn_werr == ABSENT || conn_framer == ABSENT || framer_wbuf == ABSENT)
		return 0;
	__u64 conn = read_u64(w.data + conn_writer_err) - conn_werr;
	if (conn_peer_max_header_list != ABSENT && read_u64(conn + conn_peer_max_header_list) < HEADER_LIST_MIN)
		return 0;
	return read_u64(read_u64(conn + conn_framer) + framer_wbuf + 8);
}

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

// fields_size is how much write_fields will write.
static __always_inline __u64 fields_size(struct http_call *c)
{
	__u8 length[3];
	__u32 n = c->slot.trace_state_len;

	return TRACEPARENT_FIELD + (n ? TRACE_STATE_FIELD + put_length(length, n) + n : 0);
}

// write_fields writes the fields to addr, where nothing counts yet. Returns their size, 0 if that failed. Global, for a stack of
// its own.
__noinline int write_fields(__u32 target, __u64 goroutine, __u64 addr)
{
	struct span_key key = { .target = target, .role = ROLE_CLIENT, .goroutine = goroutine };
	struct http_call *c = find_call(&key);
	__u8 field[TRACEPARENT_FIELD] = "\x00\x0btraceparent\x37", back[TRACEPARENT_FIELD];
	__u8 name[TRACE_STATE_FIELD + 3] = "\x00\x0atracestate";

	if (!c)
		return 0;
	format_traceparent(field + 14, &c->event.head);
	if (!write_checked(WRITE_CONTEXT, addr, field, back, sizeof(field)))
		return 0;
	__u64 n = TRACEPARENT_FIELD, state = c->slot.trace_state_len;
	barrier_var(state);
	if (!state || state > TRACE_STATE_MAX)
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
	if (!write_user(WRITE_STATE, addr + n, c->event.text.data, state)) // it comes first in the text
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

// grow_frame adds size bytes that lie behind it to the buffer's last frame. Both places are written once as they are: what is
// writable then is so a moment later. Should the second write fail all the same, the first is taken back.
static __always_inline bool grow_frame(__u64 writer, struct bufio *b, __u64 frame, __u8 *header, __u32 length, __u64 size)
{
	if (!write_frame_length(TRY_FRAME_LENGTH, frame, header) || !advance(TRY_COUNT, writer, b->n))
		return false;
	put_frame_length(header, length + size);
	if (!write_frame_length(WRITE_FRAME_LENGTH, frame, header))
		return false;
	if (advance(WRITE_COUNT, writer, b->n + size))
		return true;
	put_frame_length(header, length);
	write_frame_length(0, frame, header);
	return false;
}

// inject_frame adds trace context to the request whose headers were just written. 1: the bufio.Writer
static __always_inline void inject_frame(struct pt_regs *ctx, const volatile struct point *p)
{
	struct span_key stream = { .target = target_id(ctx), .role = ROLE_CLIENT, .goroutine = goroutine_id(ctx) };
	struct span_key key = { .target = stream.target, .role = ROLE_CLIENT, .goroutine = stream_caller(ctx, &stream) };
	__u64 writer = GO_ARG1(ctx);
	struct http_call *c = key.goroutine ? find_call(&key) : NULL;
	__u8 header[FRAME_HEADER];
	struct bufio b;

	if (!c || !c->work.header || c->work.writer == stream.goroutine) // the same goroutine again: trailers
		return;
	c->work.writer = stream.goroutine;
	__u64 size = fields_size(c), frame = last_frame(writer, load_bias(ctx, p));
	if (!frame) {
		count_loss(LOSS_INJECT_WRITER);
		return;
	}
	if (!open_bufio(&b, writer, size))
		return;
	if (frame < FRAME_HEADER || frame > b.n || frame - FRAME_HEADER + size > FRAME_MAX) { // or its beginning was flushed already
		count_loss(LOSS_INJECT_NO_ROOM);
		return;
	}
	__u64 at = b.buf.ptr + b.n - frame;
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
	if (write_fields(key.target, key.goroutine, b.buf.ptr + b.n) != size || !grow_frame(writer, &b, at, header, length, size))
		count_loss(LOSS_INJECT_FAULT);
}
