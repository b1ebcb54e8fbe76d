// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Whose request a client's transport is writing: its writer is one goroutine that serves all of the connection's calls, and has the message
// that asks for a new stream on its stack: https://github.com/grpc/grpc-go/blob/v1.80.0/internal/transport/controlbuf.go
#pragma once

#include "client.h"

#define STACK_WORDS 24 // of the writer's stack, in which the request is looked for
#define CAPTURED_WORDS 2 // of a closure
#define MAX_FIELDS 128
#define METHOD_FIELD 7 // length of ":method", the first field's name
#define FIELD_OVERHEAD 32 // https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2

volatile const __s64 header_fields, header_quota, header_orphaned, header_stream_id; // of headerFrame, clientHeaders
volatile const __s64 out_stream_id, out_stream_quota; // of outStream
volatile const __s64 client_stream_stream, client_stream_ctx, client_stream_transport; // of ClientStream
volatile const __s64 stream_ctx, stream_quota, stream_transport, stream_id; // of Stream
volatile const __s64 stream_quota_inside; // of what a Stream holds of its quota: ABSENT up to 1.76, where it has an address of it
volatile const __s64 transport_max_list;
volatile const __s64 field_size, field_name, field_value;

// The words of the stack in which a request's message and its outStream were found last: the compiler has put them there for good.
__u32 message_word, stream_word;

// A request that is being written.
struct request {
	__u64 header; // address of the message to the writer, which may be garbage by now; 0: it is not known
	__u64 quota; // address of its write quota
	__u64 stream; // address of its Stream
	__u64 transport; // address of its http2Client
};

// can_find says whether this binary has all that is read here.
static __always_inline bool can_find(void)
{
	return inject_enabled && (header_fields | header_quota | header_orphaned | header_stream_id | stream_ctx | stream_quota) >= 0 &&
	       (field_size | field_name | field_value) >= 0;
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
		r->quota = quota;
		r->stream = stream;
		r->transport = read_u64(client_stream_transport == ABSENT ? stream + stream_transport : captured + client_stream_transport);
		return true;
	}
	return false;
}

// may_point says whether a word of the stack may hold a pointer to an object.
static __always_inline bool may_point(__u64 word)
{
	return word && !(word & 7);
}

// number_of returns the number of the request's stream.
static __always_inline __u32 number_of(struct request *r)
{
	return read_u64(r->header ? r->header + header_stream_id : r->stream + stream_id);
}

// is_written says whether the request is the one that the writer is at. Nothing needs the message any more when its fields are written: if the
// collector has come by meanwhile, its memory may be another request's. The outStream, on the same stack, is needed.
static __always_inline bool is_written(struct request *r, __u64 sp)
{
	__u32 id = number_of(r);

#pragma clang loop unroll(disable)
	for (int i = -1; i < STACK_WORDS; i++) {
		__u32 word = i < 0 ? stream_word : i;
		__u64 addr = read_u64(sp + word * sizeof(__u64));
		if (!may_point(addr) || read_u64(addr + out_stream_quota) != r->quota || (__u32)read_u64(addr + out_stream_id) != id)
			continue;
		if (i >= 0)
			stream_word = word;
		return true;
	}
	return false;
}

// is_stream says whether addr is the outStream of a request whose number is greater than after, and whose Stream holds the write quota that it
// points to. It needs no message.
static __always_inline bool is_stream(__u64 addr, struct request *r, __u32 after)
{
	__u64 quota = read_u64(addr + out_stream_quota), stream = quota - stream_quota;
	__u32 id = read_u64(addr + out_stream_id);

	if (!quota || id <= after || id != (__u32)read_u64(stream + stream_id))
		return false;
	r->header = 0;
	r->stream = stream;
	r->transport = read_u64(client_stream_transport == ABSENT ? stream + stream_transport : stream - client_stream_stream + client_stream_transport);
	return r->transport != 0;
}

// can_find_stream says whether this binary has what find_stream reads.
static __always_inline bool can_find_stream(void)
{
	return (stream_quota_inside | out_stream_id | out_stream_quota | stream_id) >= 0;
}

// find_stream finds a request with a number greater than after by its outStream: for when its message is garbage and something else is there.
static __always_inline bool find_stream(__u64 sp, struct request *r, __u32 after)
{
	if (!can_find_stream())
		return false;
#pragma clang loop unroll(disable)
	for (int i = -1; i < STACK_WORDS; i++) {
		__u32 word = i < 0 ? stream_word : i;
		__u64 addr = read_u64(sp + word * sizeof(__u64));
		if (may_point(addr) && is_stream(addr, r, after))
			return true;
	}
	return false;
}

// may_add_unseen is may_add where the request's fields are garbage: they are those that the call began with, but how long they are cannot be told.
static __always_inline bool may_add_unseen(struct grpc_call *c, __u64 limit)
{
	if (limit)
		count_loss(LOSS_INJECT_PREEMPTED);
	return !limit && !c->work.carries;
}

// may_add says whether the request has no traceparent yet, and whether its fields and what is to be added are no more than the peer
// takes.
static __always_inline bool may_add(struct request *r, struct grpc_call *c)
{
	__u64 limit = transport_max_list == ABSENT ? 0 : read_u64(r->transport + transport_max_list);
	__u64 size = 11 + TRACEPARENT_LEN + FIELD_OVERHEAD, state = c->slot.trace_state_len;
	struct go_slice fields = {};

	if (!r->header)
		return may_add_unseen(c, limit);
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
		if (!i && name.len != METHOD_FIELD) // the fields are garbage, and something else is there now
			return may_add_unseen(c, limit);
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

// call_of returns the call that a request is of, if it is to carry that one's context.
static __always_inline struct grpc_call *call_of(__u32 target, struct request *r, __u64 bias)
{
	struct grpc_call *c = (struct grpc_call *)find_by_context(target, read_iface(r->stream + stream_ctx), bias, NULL);

	return c && c->event.head.probe == probe_index && may_add(r, c) ? c : NULL;
}
