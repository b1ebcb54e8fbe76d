// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Trace context for an HTTP/2 request. (*ClientConn).writeHeaders writes the frames of its field block to a bufio.Writer and flushes
// that; just before, the last frame of the block is what the buffer ends with.
#pragma once

#include "bufio.h"
#include "http2frame.h"
#include "opencall.h"

#define HEADER_LIST_MIN 16384 // a peer that takes less may refuse what is added

volatile const struct addr_set conn_writer_itabs;
volatile const __s64 bufio_wr, conn_writer_err, conn_werr, conn_framer, conn_peer_max_header_list, framer_wbuf;

// The goroutine of a stream by its number, and the call that it is of, for programs whose goroutines do not know their creator (before Go 1.21).
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10000);
	__type(key, struct span_key);
	__type(value, __u64);
} stream_calls SEC(".maps");

// begin_stream notes whose stream this goroutine is. 2: req
static __always_inline void begin_stream(struct pt_regs *ctx)
{
	struct span_key key = { .target = target_id(ctx), .role = ROLE_CLIENT, .goroutine = goroutine_id(ctx) };
	struct header_key k = { .target = key.target, .header = read_u64(GO_ARG2(ctx) + request_header) };
	struct header_owner *owner = find_owner(&k);

	if (!owner)
		return;
	if (!owner->call)
		count_loss(LOSS_INJECT_SHARED);
	else
		bpf_map_update_elem(&stream_calls, &key, &owner->call, BPF_ANY);
}

// call_of_stream returns the call that the goroutine of a stream is of, NULL if none is known. creator is its number, from Go 1.21 on.
static __always_inline struct http_call *call_of_stream(struct span_key *stream, __u64 creator)
{
	if (g_parent_goid != ABSENT) {
		struct http_call *c = (struct http_call *)find_caller(stream->target, creator);
		if ((!c || c->slot.state == OPERATION_UNREAD) && open_postponed(stream->target))
			c = (struct http_call *)find_caller(stream->target, creator);
		return c;
	}
	__u64 *call = bpf_map_lookup_elem(&stream_calls, stream);
	return call ? (struct http_call *)find_ref(*call) : NULL;
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

// write_context adds trace context to the last frame in a bufio.Writer. Global, for a stack of its own.
__noinline int write_context(__u32 place, __u64 writer, __u64 bias)
{
	struct http_call *c = call_at(place);
	struct bufio b;

	if (!c)
		return 0;
	__u64 size = fields_size(&c->slot), frame = last_frame(writer, bias);
	if (!frame) {
		count_loss(LOSS_INJECT_WRITER);
		return 0;
	}
	if (!open_bufio(&b, writer, size))
		return 0;
	struct frame_buffer out = { .data = b.buf.ptr, .count = writer + bufio_n, .n = b.n };
	add_fields(&c->slot, &out, frame, size);
	return 1;
}

// inject_frame adds trace context to the request whose headers were just written. 1: the bufio.Writer
static __always_inline void inject_frame(struct pt_regs *ctx, const volatile struct point *p)
{
	struct span_key stream = { .target = target_id(ctx), .role = ROLE_CLIENT, .goroutine = goroutine_id(ctx) };
	struct http_call *c = call_of_stream(&stream, g_parent_goid == ABSENT ? 0 : read_u64(GO_G(ctx) + g_parent_goid));

	if (!c || !c->work.header || c->work.writer == stream.goroutine) // the same goroutine again: trailers
		return;
	c->work.writer = stream.goroutine;
	write_context(c->slot.place, GO_ARG1(ctx), load_bias(ctx, p));
}
