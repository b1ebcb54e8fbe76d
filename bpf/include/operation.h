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
	__u32 place; // in operations
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

// The entries, by their places. A place is a goroutine's as long as places says so, and holds what the goroutine before has left there.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4096); // set at load
	__type(key, __u32);
	__type(value, struct any_operation);
} operations SEC(".maps");

// Whose a place is. To keep the entries themselves here would copy each whole when it is made.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096); // set at load
	__type(key, struct span_key);
	__type(value, __u32);
} places SEC(".maps");

// The places that are nobody's; the one that was left last, which the cache may still have, is taken first. User space fills it.
struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 4096); // set at load
	__type(value, __u32);
} free_places SEC(".maps");

// How many places are somebody's. User space sets it anew when it takes some away.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} operation_count SEC(".maps");

volatile const __u64 idle_max; // entries without an operation that may stay

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

// operation_at returns the entry at a place.
static __always_inline struct any_operation *operation_at(__u32 place)
{
	return bpf_map_lookup_elem(&operations, &place);
}

static __always_inline struct any_operation *find_operation(struct span_key *key)
{
	__u32 *place = bpf_map_lookup_elem(&places, key);

	return place ? operation_at(*place) : NULL;
}

// take_place gives the goroutine an entry, NULL if there is none.
static __always_inline struct any_operation *take_place(struct span_key *key)
{
	__u32 place;

	if (bpf_map_pop_elem(&free_places, &place))
		return NULL;
	struct any_operation *o = operation_at(place);
	if (!o)
		return NULL;
	__builtin_memset(&o->operation.slot, 0, sizeof(o->operation.slot));
	o->operation.slot.place = place;
	o->operation.slot.goroutine = key->goroutine;
	if (bpf_map_update_elem(&places, key, &place, BPF_NOEXIST)) {
		bpf_map_push_elem(&free_places, &place, BPF_ANY);
		return NULL;
	}
	__u64 *n = count_of_operations();
	if (n)
		__sync_fetch_and_add(n, 1);
	return o;
}

// enter returns the goroutine's entry, NULL if all are taken, which is counted. Whatever operation was there before, the probe clears what it
// uses, apart from the slot.
static __always_inline struct any_operation *enter(struct span_key *key)
{
	struct any_operation *o = find_operation(key);

	if (!o)
		o = take_place(key);
	if (!o) {
		count_loss(LOSS_MAP_FULL);
		return NULL;
	}
	o->operation.slot.state = OPERATION_IDLE;
	o->operation.slot.begun++;
	o->operation.slot.header = 0;
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

// forget frees the goroutine's place; slot is that of the entry there.
static __always_inline void forget(struct span_key *key, struct operation_slot *slot)
{
	__u32 place = slot->place;

	if (bpf_map_delete_elem(&places, key))
		return;
	bpf_map_push_elem(&free_places, &place, BPF_ANY);
	__u64 *n = count_of_operations();
	if (n)
		__sync_fetch_and_add(n, -1);
}

// leave removes the goroutine's entry; slot is a part of it.
static __always_inline void leave(struct span_key *key, struct operation_slot *slot)
{
	disown_context(key, slot);
	forget(key, slot);
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
	struct any_operation *o = find_operation(&key);

	return o && o->operation.slot.state != OPERATION_IDLE ? o : NULL;
}
