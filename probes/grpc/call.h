// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// A call of google.golang.org/grpc on the kernel side, a server's or a client's: its event, its state, and what both sides read.
#pragma once

#include "context.h"
#include "gomap.h"
#include "inject.h"
#include "operation.h"
#include "point.h"
#include "text.h"
#include "trace.h"
#include "tracestate.h"

#define METHOD_MAX 256
#define AUTHORITY_MAX 256
#define TARGET_MAX 256
#define MESSAGE_MAX 512
#define PEER_MAX 128
#define VALUE_CONTEXT_BUFFER 48 // bytes of a context.valueCtx that hold the fields below
#define TCP_ADDR_BUFFER 48 // bytes of a net.TCPAddr, likewise

struct grpc_event {
	struct span_head head;
	__u64 error_type; // link-time address of the descriptor of an error that has no status; 0: it has one
	__u32 code; // https://github.com/grpc/grpc/blob/v1.75.0/doc/statuscodes.md
	__u16 peer_port;
	__u8 peer_ip_len, pad; // 4, 16; 0: not known
	__u8 peer_ip[16];
	struct span_text method, authority, target, message, peer, trace_state;
	struct text_area text; // last: only what is used goes out
};
const struct grpc_event *unused __attribute__((unused)); // for bpf2go

struct grpc_call {
	struct operation_slot slot;
	struct grpc_event event;
	struct grpc_call_work {
		__u64 id; // of its key
		struct go_string traceparent; // of the metadata that was walked last
		__u64 traceparents; // how many: only one is valid
		struct trace_parent parent;
		struct go_iface context;
		__u64 bias; // what the loader added to the binary's addresses
		__u64 window; // address of what was read last into the window, 0: nothing
		__u64 metadata; // address of the value in the context, 0: none
		__u64 stream; // a server's
		__u64 header, conn; // a client's: addresses of its CallHdr and its ClientConn
		struct go_string tracestate; // a client's: of the metadata that was walked last, if it has one line
		__u64 carries; // a client's: it has a traceparent already
		__u64 served; // a client's: the operation that the call is a part of, its ref_to; 0: none that is known
		struct map_walk walk; // of the metadata
	} work;
	__u8 group[MAP_GROUP_MAX]; // of the metadata, to be looked at: too large for the stack
};
_Static_assert(sizeof(struct grpc_call) <= OPERATION_SIZE, "a call has no room among the operations");

// The largest offsets that the programs can cope with, for user space to check.
enum grpc_limits { VALUE_CONTEXT_MAX = VALUE_CONTEXT_BUFFER - 16, TCP_ADDR_MAX = TCP_ADDR_BUFFER - 16 };
const enum grpc_limits *unused_limits __attribute__((unused));

volatile const struct go_map_layout metadata_layout;
volatile const struct addr_set value_context_types, metadata_keys; // of context.valueCtx, and of its keys
volatile const struct addr_set tcp_addr_types, text_addr_types, unix_addr_types; // of net.Addr
volatile const __s64 value_context_parent, value_context_key, value_context_val;
volatile const __s64 tcp_addr_ip, tcp_addr_port, unix_addr_name;
volatile const __s64 status_proto, proto_code, proto_message;

static __always_inline struct grpc_call *find_call(struct span_key *key)
{
	return (struct grpc_call *)find_operation(key);
}

static __always_inline struct grpc_call *call_at(__u32 place)
{
	return (struct grpc_call *)operation_at(place);
}

// A struct of the target of which some fields are read by one access, into an entry's group, which is not needed yet.
#define WINDOW 192

static __always_inline void read_window(struct grpc_call *c, __u64 addr, const __u32 size)
{
	c->work.window = bpf_probe_read_user(c->group, size, (void *)addr) ? 0 : addr;
}

// window_word returns a word of the struct at addr that was read last, from the window or from behind it. The page behind a struct may not be there: then
// nothing is in the window.
static __always_inline __u64 window_word(struct grpc_call *c, __u64 addr, __s64 offset, const __u32 size)
{
	return c->work.window == addr && offset >= 0 && offset <= size - sizeof(__u64) ? WORD_AT(c->group, offset) : read_u64(addr + offset);
}

// begin returns the operation's entry, cleared for a new call, or NULL if the map is full.
static __always_inline struct grpc_call *begin(struct span_key *key, __u64 bias)
{
	struct grpc_call *c = (struct grpc_call *)enter(key, find_operation(key));

	if (!c)
		return NULL;
	if (c->slot.context_key) // of a call whose end nobody saw
		disown_context(key, &c->slot);
	__builtin_memset(&c->event, 0, __builtin_offsetof(struct grpc_event, text.data));
	__builtin_memset(&c->work, 0, sizeof(c->work));
	c->slot.trace_state_len = 0;
	c->event.head.target = key->target;
	c->event.head.start = bpf_ktime_get_boot_ns();
	c->work.id = key->goroutine;
	c->work.bias = bias;
	return c;
}

// know_context makes the call known by its context.
static __always_inline void know_context(struct span_key *key, struct grpc_call *c)
{
	c->slot.context = c->work.context.data;
	own_context(key, &c->slot, c->slot.context);
}

// A value of a context, under one of some keys, each of a type of its own.
struct context_value {
	const volatile struct addr_set *keys;
	__u64 data; // address of the value; 0: there is none
};

// find_values looks for two values in the call's context, or for one if both have the same keys
// (https://github.com/golang/go/blob/go1.26.0/src/context/context.go). Where around is given, it looks on the way for the operation that the
// call is a part of as well.
static __always_inline void find_values(struct grpc_call *c, struct context_value *a, struct context_value *b, struct around *around)
{
	struct go_iface context = c->work.context;
	__u64 bias = c->work.bias;
	__u8 *node = c->group; // is not needed yet

#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_CONTEXT_DEPTH; i++) {
		if (around && !around->done)
			look_around(around, c->event.head.target, context.data);
		if (a->data && b->data && !(around && !around->done))
			return;
		__u64 type = dynamic_type(c->event.head.target, context.type, bias);
		if (!in_set(&value_context_types, type)) {
			if (!to_parent(&context, type))
				return;
			continue;
		}
		if (bpf_probe_read_user(node, VALUE_CONTEXT_BUFFER, (void *)context.data))
			return;
		__u64 key = WORD_AT(node, value_context_key) - bias, value = WORD_AT(node, value_context_val + sizeof(__u64));
		if (!a->data && in_set(a->keys, key))
			a->data = value;
		if (!b->data && in_set(b->keys, key))
			b->data = value;
		context.type = WORD_AT(node, value_context_parent);
		context.data = WORD_AT(node, value_context_parent + sizeof(__u64));
	}
}

// read_addr keeps a net.Addr: the net package's of TCP and Unix sockets, and grpc's own that is a string.
static __always_inline void read_addr(struct grpc_call *c, struct go_iface addr)
{
	__u64 type = dynamic_type(c->event.head.target, addr.type, c->work.bias);

	if (!type || !addr.data)
		return;
	if (in_set(&tcp_addr_types, type)) {
		__u8 tcp[TCP_ADDR_BUFFER] __attribute__((aligned(8)));
		if (bpf_probe_read_user(tcp, sizeof(tcp), (void *)addr.data))
			return;
		struct go_string ip = STRING_AT(tcp, tcp_addr_ip);
		__u64 port = WORD_AT(tcp, tcp_addr_port);
		if (ip.len != 4 && ip.len != 16)
			return;
		if (bpf_probe_read_user(c->event.peer_ip, ip.len == 4 ? 4 : 16, (void *)ip.ptr))
			return;
		c->event.peer_ip_len = ip.len;
		c->event.peer_port = port;
	} else if (in_set(&text_addr_types, type)) {
		c->event.peer = append(&c->event.text, read_string_header(addr.data), PEER_MAX);
	} else if (in_set(&unix_addr_types, type)) {
		c->event.peer = append(&c->event.text, read_string_header(addr.data + unix_addr_name), PEER_MAX);
	}
}

// read_proto keeps a *spb.Status. nil is OK.
static __always_inline void read_proto(struct grpc_call *c, __u64 proto)
{
	__u32 code = 0;

	if (!proto)
		return;
	bpf_probe_read_user(&code, sizeof(code), (void *)(proto + proto_code));
	c->event.code = code;
	c->event.message = append(&c->event.text, read_string_header(proto + proto_message), MESSAGE_MAX);
}

// read_status keeps a *status.Status: https://github.com/grpc/grpc-go/blob/v1.80.0/internal/status/status.go. nil is OK.
static __always_inline void read_status(struct grpc_call *c, __u64 status)
{
	if (status)
		read_proto(c, read_u64(status + status_proto));
}

// read_parent parses the call's traceparent: 1 if it names a valid parent. Global, for a stack of its own.
__noinline int read_parent(__u32 place)
{
	struct grpc_call *c = call_at(place);
	__u8 text[TRACEPARENT_LEN + 1];

	return c && parse_traceparent(c->event.head.target, c->work.traceparent, text, &c->work.parent);
}

// end sends the event of a call, whose end is the caller's (takes_end), if it has a span.
static __always_inline void end(struct grpc_call *c)
{
	if (c->slot.state == OPERATION_UNSAMPLED)
		count_loss(LOSS_UNSAMPLED);
	if (c->slot.state == OPERATION_SAMPLED) {
		c->event.head.end = bpf_ktime_get_boot_ns();
		__u64 size = __builtin_offsetof(struct grpc_event, text.data) + c->event.text.used;
		barrier_var(size); // or the compiler checks the summand, and the verifier of Linux 5.10 does not see that the sum is bounded
		if (size > sizeof(c->event))
			size = sizeof(c->event);
		emit(&c->event, size);
	}
	c->slot.state = OPERATION_IDLE;
	c->slot.context_key = 0; // takes_end has removed it
}
