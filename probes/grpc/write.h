// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Trace context for a client's request, where a transport's writer has put the request's frames into its buffer. That goroutine serves
// all of the connection's calls: https://github.com/grpc/grpc-go/blob/v1.80.0/internal/transport/controlbuf.go
#pragma once

#include "client.h"
#include "http2frame.h"

#define STACK_WORDS 24 // of the writer's stack, in which the request is looked for
#define CAPTURED_WORDS 2 // of a closure
#define MAX_FIELDS 128
#define FIELD_OVERHEAD 32 // https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2

volatile const __s64 header_fields, header_quota, header_orphaned, header_stream_id; // of headerFrame, clientHeaders
volatile const __s64 client_stream_stream, client_stream_ctx, client_stream_transport; // of ClientStream
volatile const __s64 stream_ctx, stream_quota, stream_transport; // of Stream
volatile const __s64 transport_framer, transport_max_list, framer_writer, framer_http2, http2_wbuf;
volatile const __s64 writer_buf, writer_handle, writer_offset, writer_batch, writer_err;
volatile const __s64 field_size, field_name, field_value;

// A request that is being written.
struct request {
	__u64 header; // address of the message to the writer
	__u64 stream; // address of its Stream
	__u64 transport; // address of its http2Client
};

// can_inject says whether this binary has all that is read here.
static __always_inline bool can_inject(void)
{
	return inject_enabled && (header_fields | header_quota | header_orphaned | header_stream_id | stream_ctx | stream_quota |
				  transport_framer | framer_writer | framer_http2 | http2_wbuf | writer_offset | writer_batch | writer_err |
				  field_size | field_name | field_value) >= 0;
}

// embedded returns the Stream of what a closure has captured: that is a Stream up to 1.68, then a ClientStream, which embeds one, up to
// 1.76 by its address.
static __always_inline __u64 embedded(__u64 captured)
{
	if (client_stream_stream == ABSENT)
		return captured;
	return client_stream_ctx == ABSENT ? read_u64(captured + client_stream_stream) : captured + client_stream_stream;
}

// is_request says whether addr is the message that asks for a new stream. Its onOrphaned closure has captured the stream, and the
// stream has the same write quota as the message, by its address up to 1.76. That is so for nothing else.
static __always_inline bool is_request(__u64 addr, struct request *r)
{
	__u64 closure = read_u64(addr + header_orphaned), quota = read_u64(addr + header_quota);

	if (!closure || !quota)
		return false;
#pragma unroll
	for (int i = 0; i < CAPTURED_WORDS; i++) {
		__u64 captured = read_u64(closure + (i + 1) * sizeof(__u64)), stream = captured ? embedded(captured) : 0;
		if (!stream || (stream + stream_quota != quota && read_u64(stream + stream_quota) != quota))
			continue;
		r->header = addr;
		r->stream = stream;
		r->transport = read_u64(client_stream_transport == ABSENT ? stream + stream_transport : captured + client_stream_transport);
		return true;
	}
	return false;
}

// may_add says whether the request has no traceparent yet, and whether its fields and what is to be added are no more than the peer
// takes.
static __always_inline bool may_add(struct request *r, struct operation_slot *slot)
{
	__u64 limit = transport_max_list == ABSENT ? 0 : read_u64(r->transport + transport_max_list);
	__u64 size = 11 + TRACEPARENT_LEN + FIELD_OVERHEAD, state = slot->trace_state_len;
	struct go_slice fields = {};

	if (state)
		size += 10 + state + FIELD_OVERHEAD;
	if (bpf_probe_read_user(&fields, sizeof(fields), (void *)(r->header + header_fields)) || fields.len > MAX_FIELDS) {
		count_loss(LOSS_HEADERS);
		return false;
	}
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_FIELDS && i < fields.len; i++) {
		__u64 field = fields.ptr + i * field_size, w[2] = {};
		struct go_string name = read_string_header(field + field_name);
		if (name.len == NAME_MAX && !bpf_probe_read_user(w, NAME_MAX, (void *)name.ptr) && is_traceparent(NAME_MAX, w))
			return false;
		if (limit)
			size += name.len + read_string_header(field + field_value).len + FIELD_OVERHEAD;
	}
	if (limit && size > (__u32)read_u64(limit)) {
		count_loss(LOSS_INJECT_NO_ROOM);
		return false;
	}
	return true;
}

// open_writer reads a bufWriter that shall take size bytes more, and less than would make it flush. False, and counted, if it cannot.
static __always_inline bool open_writer(struct frame_buffer *b, __u64 writer, __u64 size)
{
	__u64 slice = writer_buf == ABSENT ? read_u64(writer + writer_handle) : writer + writer_buf, batch = read_u64(writer + writer_batch);
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

// inject_request adds trace context if addr is the request whose frames were just written: 1 if it is. Global: the verifier checks it
// once.
__noinline int inject_request(__u32 target, __u64 addr, __u64 bias)
{
	struct frame_buffer b = {};
	struct request r = {};

	if (!addr || addr & 7 || !is_request(addr, &r))
		return 0;
	struct grpc_call *c = (struct grpc_call *)find_by_context(target, read_iface(r.stream + stream_ctx), bias);
	if (!c || c->event.head.probe != probe_index || !may_add(&r, &c->slot))
		return 1;
	struct span_key key = { .target = target, .role = ROLE_STREAM, .goroutine = c->work.id };
	__u64 framer = read_u64(r.transport + transport_framer), size = fields_size(&c->slot);
	__u64 frame = read_u64(read_u64(framer + framer_http2) + http2_wbuf + sizeof(__u64));
	if (!open_writer(&b, read_u64(framer + framer_writer), size))
		return 1;
	if (frame > b.n)
		count_loss(LOSS_INJECT_NO_ROOM); // its beginning was flushed
	else if (!is_frame_of(&b, frame, read_u64(r.header + header_stream_id)))
		count_loss(LOSS_INJECT_WRITER);
	else
		add_fields(&key, &b, frame, size);
	return 1;
}

// inject finds the request on the stack: it was in use a moment before, across a call, so it is in the frame or among the arguments.
static __always_inline void inject(struct pt_regs *ctx, const volatile struct point *p)
{
	__u64 bias = load_bias(ctx, p), sp = REG_SP(ctx);
	__u32 target = target_id(ctx);

	if (!can_inject())
		return;
#pragma clang loop unroll(disable)
	for (int i = 0; i < STACK_WORDS; i++) {
		if (inject_request(target, read_u64(sp + i * sizeof(__u64)), bias))
			return;
	}
	count_loss(LOSS_INJECT_WRITER);
}
