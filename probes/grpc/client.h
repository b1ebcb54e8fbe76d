// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// A client's call: from its clientStream's creation to its end, in whichever goroutine that is.
#pragma once

#include "metadata.h"

#define CODE_UNKNOWN 2
#define STACK_MAX 96 // words of the stack of newClientStreamWithParams
#define CALL_HEADER 48 // bytes of a CallHdr that are read by one access
#define MAX_ADDED 8 // fields that AppendToOutgoingContext adds, which are looked through

volatile const struct addr_set status_error_types, error_string_types;
volatile const __s64 client_ctx, client_call_hdr, client_conn, client_attempt, attempt_stream, attempt_transport, transport_remote_addr;
volatile const __s64 call_method, call_host, conn_target, raw_metadata, raw_added;
volatile const __s64 error_status; // of status.Error
volatile const __s64 error_proto; // the same if it points to the protocol buffer, as before gRPC 1.40; else ABSENT
volatile const __s64 error_code; // the same if status.Error is the protocol buffer, as before 1.30; else ABSENT

// read_added looks for a traceparent among what was added to the metadata: [][]string, of names and values in turn. Global, for a stack of
// its own.
__noinline int read_added(__u32 place)
{
	struct grpc_call *c = call_at(place);
	struct go_slice all = {}, one;

	if (!c || bpf_probe_read_user(&all, sizeof(all), (void *)(c->work.metadata + raw_added)))
		return 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_ADDED && i < all.len; i++) {
		if (bpf_probe_read_user(&one, sizeof(one), (void *)(all.ptr + i * sizeof(one))))
			return 0;
#pragma clang loop unroll(disable)
		for (int k = 0; k < MAX_ADDED && 2 * k + 1 < one.len; k++) {
			__u64 pair = one.ptr + 2 * k * sizeof(struct go_string), w[2] = {};
			struct go_string name = read_string_header(pair);
			if (name.len == NAME_MAX && !bpf_probe_read_user(w, NAME_MAX, (void *)name.ptr) && is_traceparent(NAME_MAX, w))
				keep_traceparent(c, read_string_header(pair + sizeof(name)), 1);
		}
	}
	return 1;
}

// find_carried reads the traceparent that the call's metadata has already: true if it is valid.
static __always_inline bool find_carried(struct grpc_call *c)
{
	if (!c->work.metadata)
		return false;
	read_metadata(ROLE_STREAM, c, read_u64(c->work.metadata + raw_metadata));
	read_added(c->slot.place);
	return c->work.traceparents == 1 && read_parent(c->slot.place);
}

// read_request keeps what the call is and whom it is for.
static __always_inline void read_request(struct grpc_call *c)
{
	struct go_string method, host;
	struct text_area *t = &c->event.text;

	read_window(c, c->work.header, CALL_HEADER);
	method.ptr = window_word(c, c->work.header, call_method, CALL_HEADER);
	method.len = window_word(c, c->work.header, call_method + 8, CALL_HEADER);
	host.ptr = window_word(c, c->work.header, call_host, CALL_HEADER);
	host.len = window_word(c, c->work.header, call_host + 8, CALL_HEADER);
	c->event.method = append_literal(t, method, METHOD_MAX, c->work.bias);
	c->event.authority = append(t, host, AUTHORITY_MAX);
	c->event.target = append(t, read_string_header(c->work.conn + conn_target), TARGET_MAX);
}

// read_stream keeps what a clientStream refers to.
static __always_inline void read_stream(struct grpc_call *c, __u64 stream)
{
	read_window(c, stream, WINDOW);
	c->work.header = window_word(c, stream, client_call_hdr, WINDOW);
	c->work.conn = window_word(c, stream, client_conn, WINDOW);
	c->work.context.type = window_word(c, stream, client_ctx, WINDOW);
	c->work.context.data = window_word(c, stream, client_ctx + 8, WINDOW);
}

// look_at_context finds the metadata among the values of the call's context, and the operation that this belongs to: its place and 1, or 0 if
// there is none. Global: the verifier checks it once.
__noinline int look_at_context(__u32 place)
{
	struct context_value metadata = { .keys = &metadata_keys };
	struct around around = {};
	struct grpc_call *c = call_at(place);

	if (!c)
		return 0;
	find_values(c, &metadata, &metadata, &around);
	c->work.metadata = metadata.data;
	return around.operation ? around.operation->operation.slot.place + 1 : 0;
}

// begin_call starts the call's span. 1: cs
static __always_inline void begin_call(struct pt_regs *ctx, const volatile struct point *p)
{
	struct span_key key = { .target = target_id(ctx), .role = ROLE_STREAM, .goroutine = GO_ARG1(ctx) };
	struct grpc_call *c = begin(&key, load_bias(ctx, p));

	if (!c)
		return;
	read_stream(c, GO_ARG1(ctx));
	if (!c->work.context.type) {
		count_loss(LOSS_READ);
		forget(&key, &c->slot);
		return;
	}
	__u32 found = look_at_context(c->slot.place);
	struct any_operation *o = found ? operation_at(found - 1) : NULL;
	struct goroutine g;

	if (!found && read_goroutine(ctx, &g))
		o = find_by_goroutine(key.target, &g);
	if (o) {
		c->event.trace_state = copy_trace_state(&c->event.text, o);
		c->slot.trace_state = __builtin_offsetof(struct grpc_call, event.text.data);
		c->slot.trace_state_len = c->event.trace_state.len;
		c->work.served = ref_to(&o->operation.slot);
	}
	read_request(c);
	know_context(&key, c);
	bool child = find_carried(c);
	c->work.carries = c->work.traceparents;
	if (o && (!child || handed_on(&c->work.parent, o))) {
		parent_of(o, &c->work.parent);
		child = true;
	}
	bool yes = start_span((struct any_operation *)c, child ? &c->work.parent : NULL);
	c->slot.state = yes ? OPERATION_SAMPLED : OPERATION_UNSAMPLED;
}

// is_eof says whether an error's text is that of io.EOF. It is taken for it by its length where the constant is in a page that nobody has read.
static __always_inline bool is_eof(struct go_string text)
{
	__u32 w = 0;

	if (text.len != 3)
		return false;
	return bpf_probe_read_user(&w, 3, (void *)text.ptr) || w == ('E' | 'O' << 8 | 'F' << 16);
}

// read_error keeps what a call has ended with. io.EOF is a stream's success.
static __always_inline void read_error(struct grpc_call *c, struct go_iface err)
{
	__u64 type = dynamic_type(c->event.head.target, err.type, c->work.bias);

	if (!type)
		return;
	if (in_set(&status_error_types, type)) {
		if (error_code != ABSENT)
			read_proto(c, err.data);
		else if (error_proto != ABSENT)
			read_proto(c, read_u64(err.data + error_proto));
		else
			read_status(c, read_u64(err.data + error_status));
		return;
	}
	if (in_set(&error_string_types, type) && is_eof(read_string_header(err.data)))
		return;
	c->event.code = CODE_UNKNOWN;
	c->event.error_type = type;
}

// end_call ends the call of a clientStream. 2–3: err
static __always_inline void end_call(struct pt_regs *ctx, __u64 stream)
{
	struct span_key key = { .target = target_id(ctx), .role = ROLE_STREAM, .goroutine = stream };
	struct go_iface err = { .type = GO_ARG2(ctx), .data = GO_ARG3(ctx) };
	struct grpc_call *c = find_call(&key);

	if (!c || !takes_end(&key, &c->slot))
		return;
	if (c->slot.state == OPERATION_SAMPLED) {
		__u64 attempt = read_u64(key.goroutine + client_attempt);
		struct go_iface transport = attempt ? read_iface(attempt + attempt_transport) : (struct go_iface){};
		read_error(c, err);
		if (transport.data)
			read_addr(c, read_iface(transport.data + transport_remote_addr));
	}
	end(c);
	forget(&key, &c->slot);
}

// fail_call ends a call whose stream could not be created: newClientStreamWithParams has the error, and nobody will call finish. Its
// clientStream is the one of a known call that is on the stack.
static __always_inline void fail_call(struct pt_regs *ctx, const volatile struct point *p)
{
	struct span_key key = { .target = target_id(ctx), .role = ROLE_STREAM };
	struct go_iface err = { .type = result_word(ctx, p, 0), .data = result_word(ctx, p, 1) };
	__u64 sp = REG_SP(ctx);

#pragma clang loop unroll(disable)
	for (int i = 0; i < STACK_MAX; i++) {
		key.goroutine = read_u64(sp + i * sizeof(__u64));
		struct grpc_call *c = key.goroutine ? find_call(&key) : NULL;
		if (!c || c->event.head.probe != probe_index || read_iface(key.goroutine + client_ctx).data != c->slot.context)
			continue;
		if (!takes_end(&key, &c->slot))
			return;
		if (c->slot.state == OPERATION_SAMPLED)
			read_error(c, err);
		end(c);
		forget(&key, &c->slot);
		return;
	}
}
