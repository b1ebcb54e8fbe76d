// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The operation that a new one is a part of: by its context.Context
// (https://github.com/golang/go/blob/go1.26.0/src/context/context.go), by its goroutine, by its goroutine's creator.
#pragma once

#include "goroutine.h"
#include "operation.h"
#include "seen.h"
#include "trace.h"

#define MAX_CONTEXT_TYPES 32
#define MAX_CONTEXT_DEPTH 48
#define ITAB_TYPE 8 // https://github.com/golang/go/blob/go1.26.0/src/internal/abi/iface.go

enum context_limits { CONTEXT_PATH_END = -1 };
// A type of context and where its values have their parent: at path[0] from the data word, or path[1] behind the pointer there.
struct context_type {
	__u64 type; // link-time address of its descriptor
	__s32 path[2];
};

struct context_types {
	__u64 n;
	struct context_type at[MAX_CONTEXT_TYPES];
};

volatile const struct context_types known_contexts;

static __always_inline struct go_iface read_iface(__u64 addr)
{
	struct go_iface i = {};
	bpf_probe_read_user(&i, sizeof(i), (void *)addr);
	return i;
}

// type_of returns what an itab has as its type, 0 for none.
static __always_inline __u64 type_of(__u32 target, __u64 itab)
{
	__u64 type = itab ? recall(target, itab) : 0;

	if (type || !itab)
		return type;
	if (bpf_probe_read_user(&type, sizeof(type), (void *)(itab + ITAB_TYPE))) {
		report_absent(target, itab + ITAB_TYPE);
		return 0;
	}
	if (type)
		remember(target, itab, type);
	return type;
}

// dynamic_type returns the link-time address of the descriptor of what an interface value with methods holds, 0 for nil.
static __always_inline __u64 dynamic_type(__u32 target, __u64 itab, __u64 bias)
{
	__u64 type = type_of(target, itab);

	return type ? type - bias : 0;
}

// parent_at is where a context, whose type is given, holds the one that it was derived from; 0 if nothing is known of such. Global: the verifier checks it
// once, not for each context.
__noinline __u64 parent_at(__u64 type, __u64 data)
{
	if (!type)
		return 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_CONTEXT_TYPES; i++) {
		if (i >= known_contexts.n)
			return 0;
		if (known_contexts.at[i].type != type)
			continue;
		__u64 addr = data + known_contexts.at[i].path[0];
		if (known_contexts.at[i].path[1] != CONTEXT_PATH_END)
			addr = read_u64(addr) + known_contexts.at[i].path[1];
		return addr;
	}
	return 0;
}

// to_parent goes from a context, whose type is given, to the one that it was derived from; false if there is none that is known of.
static __always_inline bool to_parent(struct go_iface *c, __u64 type)
{
	__u64 addr = parent_at(type, c->data);

	if (!addr)
		return false;
	*c = read_iface(addr);
	return c->data != 0;
}

// A search for the operation that a context belongs to, along what it was derived from.
struct around {
	struct any_operation *operation; // what was found
	struct any_operation *near; // what the goroutine that runs serves, if that is known
	__u64 child; // data word of the context that was looked at before
	bool done;
};

// look_around looks at the next context. An HTTP/1 connection's operation is known by the connection's context, from which each request's is
// derived: it must be the present request's. The operation may have ended: its context still says what belongs to it.
static __always_inline void look_around(struct around *a, __u32 target, __u64 context)
{
	struct context_key k = { .target = target, .context = context };
	__u32 *place;

	if (a->near && a->near->operation.slot.context == context) {
		a->operation = a->near;
		a->done = true;
		return;
	}
	place = bpf_map_lookup_elem(&contexts, &k);
	if (place) {
		struct any_operation *o = operation_at(*place);
		if (o && (o->operation.slot.context == context || o->operation.slot.context == a->child))
			a->operation = o;
		a->done = true;
	}
	a->child = context;
}

// find_by_context returns the operation whose context c is or was derived from. near is what the goroutine that runs serves, or NULL.
static __always_inline struct any_operation *find_by_context(__u32 target, struct go_iface c, __u64 bias, struct any_operation *near)
{
	struct around a = { .near = near };

#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_CONTEXT_DEPTH; i++) {
		look_around(&a, target, c.data);
		if (a.done)
			return a.operation;
		if (!to_parent(&c, dynamic_type(target, c.type, bias)))
			return NULL;
	}
	return NULL;
}

// find_by_goroutine returns the operation that this goroutine serves, or the one that its creator serves. A goroutine may be
// older than the request that its creator is at now (a pool that an earlier request has started), which nothing tells: so the
// creator's operation counts only if it is its first.
static __always_inline struct any_operation *find_by_goroutine(__u32 target, struct goroutine *g)
{
	struct any_operation *o = find_served(target, g->number);

	if (o)
		return o;
	o = g->creator ? find_served(target, g->creator) : NULL;
	return o && o->operation.slot.begun == o->operation.slot.first ? o : NULL;
}

static __always_inline void parent_of(struct any_operation *o, struct trace_parent *out)
{
	__builtin_memcpy(out->trace_id, o->operation.head.trace_id, sizeof(out->trace_id));
	__builtin_memcpy(out->span_id, o->operation.head.span_id, sizeof(out->span_id));
	out->flags = o->operation.head.trace_flags;
}

static __always_inline bool same_bytes(const __u8 *a, const __u8 *b, const int size)
{
	__u8 differ = 0;

#pragma unroll
	for (int i = 0; i < size; i++)
		differ |= a[i] ^ b[i];
	return !differ;
}

// handed_on says whether what the request carries is what the operation was called with: a proxy hands it on.
static __always_inline bool handed_on(struct trace_parent *carried, struct any_operation *o)
{
	return same_bytes(carried->trace_id, o->operation.head.trace_id, sizeof(carried->trace_id)) &&
	       same_bytes(carried->span_id, o->operation.head.parent_id, sizeof(carried->span_id));
}
