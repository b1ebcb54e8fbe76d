// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Trace context for a client's request by writing, where a transport's writer has put the request's frames into its buffer.
#pragma once

#include "http2frame.h"
#include "request.h"

volatile const __s64 transport_framer, framer_writer, framer_http2, http2_wbuf;
volatile const __s64 writer_buf, writer_handle, writer_offset, writer_batch, writer_err;

// can_write says whether this binary has all that is read here.
static __always_inline bool can_write(void)
{
	return can_find() && (transport_framer | framer_writer | framer_http2 | http2_wbuf | writer_offset | writer_batch | writer_err) >= 0;
}

// buffer_of returns the address of a bufWriter's buffer, a slice.
static __always_inline __u64 buffer_of(__u64 writer)
{
	return writer_buf == ABSENT ? read_u64(writer + writer_handle) : writer + writer_buf;
}

// last_frame returns the size of the last frame that a framer wrote.
static __always_inline __u64 last_frame(__u64 framer)
{
	return read_u64(read_u64(framer + framer_http2) + http2_wbuf + sizeof(__u64));
}

// open_writer reads a bufWriter that shall take size bytes more, and less than would make it flush. False, and counted, if it cannot.
static __always_inline bool open_writer(struct frame_buffer *b, __u64 writer, __u64 size)
{
	__u64 slice = buffer_of(writer), batch = read_u64(writer + writer_batch);
	struct go_slice buf = {};

	if (!batch || read_u64(writer + writer_err) || bpf_probe_read_user(&buf, sizeof(buf), (void *)slice)) {
		count_loss(LOSS_INJECT_WRITER); // without a buffer of its own, or with an error
		return false;
	}
	b->data = buf.ptr;
	b->count = writer + writer_offset;
	b->n = read_u64(b->count);
	if (buf.len > buf.cap || b->n > buf.len || b->n + size >= buf.len || b->n + size >= batch) {
		count_loss(LOSS_INJECT_NO_ROOM);
		return false;
	}
	return true;
}

// is_frame_of says whether the last frame, of that many bytes, is of this stream.
static __always_inline bool is_frame_of(struct frame_buffer *b, __u64 frame, __u32 id)
{
	__u32 found = 0;

	return frame >= FRAME_HEADER && frame <= b->n &&
	       !bpf_probe_read_user(&found, sizeof(found), (void *)(b->data + b->n - frame + 5)) && __builtin_bswap32(found) == id;
}

// is_last_frame says whether the last frame that the request's transport has in its buffer is of this request.
static __always_inline bool is_last_frame(struct request *r)
{
	__u64 framer = read_u64(r->transport + transport_framer), writer = read_u64(framer + framer_writer);
	struct frame_buffer b = { .data = read_u64(buffer_of(writer)), .n = read_u64(writer + writer_offset) };

	return is_frame_of(&b, last_frame(framer), number_of(r));
}

// inject_request adds trace context if addr is the request whose frames were just written, or by_stream, its outStream: 1 if it is. Global: the
// verifier checks it once.
__noinline int inject_request(__u32 target, __u64 addr, __u64 bias, int by_stream)
{
	struct frame_buffer b = {};
	struct request r = {};

	if (!may_point(addr) || (by_stream ? !is_stream(addr, &r, 0) || !is_last_frame(&r) : !is_request(addr, &r)))
		return 0;
	struct grpc_call *c = call_of(target, &r, bias);
	if (!c)
		return 1;
	__u64 framer = read_u64(r.transport + transport_framer), size = fields_size(&c->slot);
	__u64 frame = last_frame(framer);
	if (!open_writer(&b, read_u64(framer + framer_writer), size))
		return 1;
	if (frame > b.n)
		count_loss(LOSS_INJECT_NO_ROOM); // its beginning was flushed
	else if (!is_frame_of(&b, frame, number_of(&r)))
		return 0; // it is the memory of another request now
	else
		add_fields(&c->slot, &b, frame, size);
	return 1;
}

// inject_found looks for the request on the stack, by its message or by its outStream, and adds trace context. False if it is not there.
static __always_inline bool inject_found(__u32 target, __u64 sp, __u64 bias, bool by_stream)
{
	__u32 *found = by_stream ? &stream_word : &message_word;

#pragma clang loop unroll(disable)
	for (int i = -1; i < STACK_WORDS; i++) {
		__u32 word = i < 0 ? *found : i;
		if (!inject_request(target, read_u64(sp + word * sizeof(__u64)), bias, by_stream))
			continue;
		if (i >= 0)
			*found = word;
		return true;
	}
	return false;
}

// inject finds the request: its message was in use a moment before, so it is in the frame or among the arguments. If the collector has taken it, the
// outStream is still there.
static __always_inline void inject(struct pt_regs *ctx, const volatile struct point *p)
{
	__u64 bias = load_bias(ctx, p), sp = REG_SP(ctx);
	__u32 target = target_id(ctx);

	if (!can_write() || (!is_due(faults.message) && inject_found(target, sp, bias, false)))
		return;
	if (!can_find_stream() || !inject_found(target, sp, bias, true))
		count_loss(LOSS_INJECT_PREEMPTED); // something else is there, or was before gRPC 1.77
}
