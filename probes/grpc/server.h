// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// A server's call: from the beginning of its goroutine's work until its status is written.
#pragma once

#include "metadata.h"

volatile const struct addr_set connection_error_types, peer_keys, own_transport_types;
volatile const __s64 peer_addr, server_workers, server_stream, server_stream_ctx, stream_ctx, stream_method;

#define CODE_UNAVAILABLE 14

// base_of returns the transport.Stream of a server's stream: the ServerStream of 1.69 and newer embeds it, first by its address.
static __always_inline __u64 base_of(__u64 stream)
{
	if (server_stream == ABSENT)
		return stream;
	return server_stream_ctx == ABSENT ? read_u64(stream + server_stream) : stream + server_stream;
}

// read_context finds the metadata and the peer.Peer among the values of the call's context, and keeps the peer's address. Global: the
// verifier checks it once.
__noinline int read_context(__u32 place)
{
	struct context_value metadata = { .keys = &metadata_keys }, peer = { .keys = &peer_keys };
	struct grpc_call *c = call_at(place);

	if (!c)
		return 0;
	find_values(c, &metadata, &peer, NULL);
	c->work.metadata = metadata.data;
	if (peer.data)
		read_addr(c, read_iface(peer.data + peer_addr));
	return 1;
}

// read_method returns the method that a transport.Stream is a call of, and keeps its context.
static __always_inline struct go_string read_method(struct grpc_call *c, __u64 stream)
{
	struct go_string method;

	read_window(c, stream, WINDOW);
	c->work.context.type = window_word(c, stream, stream_ctx, WINDOW);
	c->work.context.data = window_word(c, stream, stream_ctx + 8, WINDOW);
	method.ptr = window_word(c, stream, stream_method, WINDOW);
	method.len = window_word(c, stream, stream_method + 8, WINDOW);
	return method;
}

// begin_stream starts the span of the call that this goroutine serves. transport is the type word of the interface value; bias as in
// load_bias.
static __always_inline void begin_stream(struct pt_regs *ctx, struct span_key *key, __u64 server, __u64 transport, __u64 stream, __u64 bias)
{
	__u64 base = base_of(stream);
	struct any_operation *http = NULL; // that (*Server).ServeHTTP is the handler of
	struct grpc_call *c = begin(key, bias);

	if (!c)
		return;
	struct go_string method = read_method(c, base);
	if (!c->work.context.type) {
		count_loss(LOSS_READ);
		forget(key, &c->slot);
		return;
	}
	if (!in_set(&own_transport_types, dynamic_type(key->target, transport, bias)))
		http = find_by_context(key->target, c->work.context, bias, NULL);
	note_server(ctx, key, &c->slot);
	if (server_workers != ABSENT && (__u32)read_u64(server + server_workers))
		c->slot.first = 0; // the goroutine serves many: see find_by_goroutine
	c->work.stream = stream;
	c->event.method = append(&c->event.text, method, METHOD_MAX);
	know_context(key, c);
	read_context(c->slot.place);
	read_metadata(ROLE_SERVER, c, c->work.metadata);
	bool parent = c->work.traceparents == 1 && read_parent(c->slot.place);
	c->event.head.remote_parent = parent && !http;
	if (!parent) // a tracestate is nothing without its traceparent
		c->event.trace_state.len = c->slot.trace_state_len = 0;
	if (http) {
		parent_of(http, &c->work.parent);
		parent = true;
	}
	bool yes = start_span((struct any_operation *)c, parent ? &c->work.parent : NULL);
	c->slot.state = yes ? OPERATION_SAMPLED : OPERATION_UNSAMPLED;
}

static __always_inline bool serves(struct grpc_call *c, __u64 stream)
{
	return c && c->event.head.probe == probe_index && c->work.stream == stream;
}

// served returns the call of a stream, and its key. It is this goroutine's, or that of the stream's context: a message that cannot be
// sent ends the stream in the goroutine that sends it.
static __always_inline struct grpc_call *served(struct pt_regs *ctx, struct span_key *key, __u64 stream, __u64 bias)
{
	struct grpc_call *c = (struct grpc_call *)find_server(ctx, key);

	if (serves(c, stream))
		return c;
	c = (struct grpc_call *)find_by_context(key->target, read_iface(base_of(stream) + stream_ctx), bias, NULL);
	if (!serves(c, stream))
		return NULL;
	key->goroutine = c->work.id;
	return c;
}

// end_stream: 1: the transport, 2: the stream, 3: the status
static __always_inline void end_stream(struct pt_regs *ctx, const volatile struct point *p)
{
	struct span_key key;
	struct grpc_call *c = served(ctx, &key, GO_ARG2(ctx), load_bias(ctx, p));

	if (!c || !takes_end(&key, &c->slot))
		return;
	read_status(c, GO_ARG3(ctx));
	end(c);
	forget(&key, &c->slot);
}

// lose_stream ends the call if the error at hand is that the connection was lost: no status is written then. 1–2: err
static __always_inline void lose_stream(struct pt_regs *ctx, const volatile struct point *p)
{
	struct span_key key;
	struct grpc_call *c = (struct grpc_call *)find_server(ctx, &key);

	if (!c || c->event.head.probe != probe_index || !in_set(&connection_error_types, dynamic_type(key.target, GO_ARG1(ctx), load_bias(ctx, p))))
		return;
	if (!takes_end(&key, &c->slot))
		return;
	c->event.code = CODE_UNAVAILABLE;
	end(c);
	forget(&key, &c->slot);
}
