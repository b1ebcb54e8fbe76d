// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// What goroutines are at: one map for all probes, so that each finds the operation that its own is a part of.
#pragma once

#include "event.h"

enum role { ROLE_SERVER, ROLE_CLIENT, ROLE_STREAM, ROLE_DATABASE };

// A goroutine serves one request and makes one call at a time. A call that goroutines share, ROLE_STREAM, has the address of its
// object in the place of a goroutine.
struct span_key {
	__u32 target, role;
	__u64 goroutine;
};

enum operation_state { OPERATION_IDLE, OPERATION_SAMPLED, OPERATION_UNSAMPLED };

struct operation_slot {
	__u32 state; // first: user space looks at it
	__u32 begun; // how many operations the goroutine has begun since it is in the map
	__u64 context; // data word of the operation's context.Context
	__u64 context_key; // under which the operation is in contexts, 0: under none
	__u64 goroutine; // the key's
	__u64 header; // where the target holds the header that the operation came with, while it is under way; 0: unknown
	__u16 trace_state, trace_state_len; // where its tracestate lies, from the beginning of the entry
	__u32 pad;
};

// Every probe's operation begins like this: its slot, then its event.
struct operation {
	struct operation_slot slot;
	struct span_head head;
};

#define OPERATION_SIZE 4096 // of the largest one

struct any_operation {
	struct operation operation;
	__u8 rest[OPERATION_SIZE - sizeof(struct operation)];
};

// Memory for all entries is taken when the map is created: to allocate so much while a program runs is slower, and kernels before
// 6.1 warn of it.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096); // set at load
	__type(key, struct span_key);
	__type(value, struct any_operation);
} operations SEC(".maps");

// A new entry's content: too large for the stack.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct any_operation);
} operation_zero SEC(".maps");

// How many entries operations has. User space sets it anew when it removes some.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} operation_count SEC(".maps");

volatile const __u64 idle_max; // entries without an operation that may stay in operations

// A context of the target by its data word, and the operation that it is the context of.
struct context_key {
	__u32 target, pad;
	__u64 context;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096); // set at load
	__type(key, struct context_key);
	__type(value, struct span_key);
} contexts SEC(".maps");

static __always_inline __u64 *count_of_operations(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&operation_count, &zero);
}

// enter returns the goroutine's entry, NULL if the map is full, which is counted. Of an entry that was there before, the
// probe clears what it uses.
static __always_inline struct any_operation *enter(struct span_key *key)
{
	struct any_operation *o = bpf_map_lookup_elem(&operations, key);
	__u32 zero = 0;

	if (o) {
		o->operation.slot.state = OPERATION_IDLE;
		o->operation.slot.begun++;
		o->operation.slot.header = 0;
		return o;
	}
	o = bpf_map_lookup_elem(&operation_zero, &zero);
	if (!o)
		return NULL;
	if (bpf_map_update_elem(&operations, key, o, BPF_ANY)) {
		count_loss(LOSS_MAP_FULL);
		return NULL;
	}
	__u64 *n = count_of_operations();
	if (n)
		__sync_fetch_and_add(n, 1);
	o = bpf_map_lookup_elem(&operations, key);
	if (o) {
		o->operation.slot.begun = 1;
		o->operation.slot.goroutine = key->goroutine;
	}
	return o;
}

// own_context makes the operation known by a context; only one at a time.
static __always_inline void own_context(struct span_key *key, struct operation_slot *slot, __u64 context)
{
	struct context_key k = { .target = key->target, .context = context };

	if (context && !bpf_map_update_elem(&contexts, &k, key, BPF_ANY))
		slot->context_key = context;
}

static __always_inline void disown_context(struct span_key *key, struct operation_slot *slot)
{
	struct context_key k = { .target = key->target, .context = slot->context_key };

	if (k.context)
		bpf_map_delete_elem(&contexts, &k);
	slot->context_key = 0;
}

static __always_inline void forget(struct span_key *key)
{
	if (bpf_map_delete_elem(&operations, key))
		return;
	__u64 *n = count_of_operations();
	if (n)
		__sync_fetch_and_add(n, -1);
}

// leave removes the goroutine's entry; slot is a part of it.
static __always_inline void leave(struct span_key *key, struct operation_slot *slot)
{
	disown_context(key, slot);
	forget(key);
}

// takes_end says whether an end that was seen is the operation's. Goroutines can end a shared one at the same time: one of them removes its
// context, and then has its entry to itself until it calls forget. (Compare-and-swap needs Linux 5.12.)
static __always_inline bool takes_end(struct span_key *key, struct operation_slot *slot)
{
	struct context_key k = { .target = key->target, .context = slot->context_key };

	return !k.context || !bpf_map_delete_elem(&contexts, &k);
}

// too_many_idle says whether an entry that is idle now should rather be removed.
static __always_inline bool too_many_idle(void)
{
	__u64 *n = count_of_operations();
	return n && *n > idle_max;
}

// find_served returns the request that a goroutine serves, NULL if it serves none.
static __always_inline struct any_operation *find_served(__u32 target, __u64 goroutine)
{
	struct span_key key = { .target = target, .role = ROLE_SERVER, .goroutine = goroutine };
	struct any_operation *o = bpf_map_lookup_elem(&operations, &key);

	return o && o->operation.slot.state != OPERATION_IDLE ? o : NULL;
}
