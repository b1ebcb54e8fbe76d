// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// What goroutines are at: one map for all probes, so that each finds the operation that its own is a part of.
#pragma once

#include "event.h"
#include "go.h"

enum role { ROLE_SERVER, ROLE_CLIENT, ROLE_STREAM, ROLE_DATABASE };

// A goroutine serves one request and makes one call at a time. As a server it is known by its number, which no other will ever have; as one that calls,
// whose end nobody sees, by the address of its g, which Go gives to another then. A call that goroutines share, ROLE_STREAM, is known by its object's.
struct span_key {
	__u32 target, role;
	__u64 goroutine;
};

enum operation_state {
	OPERATION_IDLE,
	OPERATION_SAMPLED,
	OPERATION_UNSAMPLED,
	OPERATION_UNREAD, // what it is was not read yet
};

struct operation_slot {
	__u32 state; // first: user space looks at it
	__u32 begun; // how many operations have begun here: with the place, it names one for ever
	__u32 first; // its value at the goroutine's first one
	__u32 place; // in operations
	__u64 random[2]; // what the next IDs are made of
	struct span_key owner; // whose the place is, as in places; its number is 0 if it is nobody's
	// From here on cleared for each who takes the place:
	__u64 goroutine; // its number, 0: not known
	__u64 g; // of the goroutine that serves: address
	__u64 context; // data word of the operation's context.Context
	__u64 context_key; // under which the operation is in contexts, 0: under none
	__u64 header; // where the target holds the header that the operation came with, while it is under way; 0: unknown
	__u64 kept; // address of what the probe keeps from one operation to the next, 0: nothing
	__u16 trace_state, trace_state_len; // where its tracestate lies, from the beginning of the entry
	__u32 kept_len;
};

// Every probe's operation begins like this: its slot, then its event.
struct operation {
	struct operation_slot slot;
	struct span_head head;
};

#define OPERATION_SIZE 4160 // of the largest one, and no power of two: the entries' beginnings do not share the same few lines of a cache

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

// At which place the operation of a key was found last, by some bits of the key. The entry there says whether it is so: looking into a hash map
// costs ten times as much.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} found_at SEC(".maps");

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

// The places of goroutines that call, by their numbers: those of HTTP/2's streams know their caller by that.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096); // set at load
	__type(key, struct span_key);
	__type(value, __u32);
} callers SEC(".maps");

// At which place the goroutine of a g has begun to serve, by some bits of its address. The entry there says whether it is so.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} served_at SEC(".maps");

volatile const __u8 inject_enabled; // propagation is wanted, and the kernel lets programs do it
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
	__type(value, __u32); // its place
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

static __always_inline __u32 one_of_1024(__u64 number)
{
	return number * 0x9e3779b97f4a7c15 >> 54;
}

// place_found_at is where found_at has a key's place. NULL below Linux 5.15: a target may have another's number there, and an entry may say that it is
// an operation's of the one before.
static __always_inline __u32 *place_found_at(struct span_key *key)
{
	__u32 i = one_of_1024(key->goroutine + key->role);

	return has_attach_cookie ? bpf_map_lookup_elem(&found_at, &i) : NULL;
}

static __always_inline bool owns(struct span_key *key, struct any_operation *o)
{
	struct span_key *owner = &o->operation.slot.owner;

	return owner->goroutine == key->goroutine && owner->target == key->target && owner->role == key->role;
}

static __always_inline struct any_operation *find_operation(struct span_key *key)
{
	__u32 *found = place_found_at(key), *place;
	struct any_operation *o = found && key->goroutine ? operation_at(*found) : NULL;

	if (o && owns(key, o))
		return o;
	place = bpf_map_lookup_elem(&places, key);
	if (!place)
		return NULL;
	if (found)
		*found = *place;
	return operation_at(*place);
}

// server_key and caller_key are the goroutine's that runs.
static __always_inline struct span_key server_key(struct pt_regs *ctx)
{
	struct span_key key = { .target = target_id(ctx), .role = ROLE_SERVER, .goroutine = goroutine_id(ctx) };

	return key;
}

static __always_inline struct span_key caller_key(struct pt_regs *ctx, enum role role)
{
	struct span_key key = { .target = target_id(ctx), .role = role, .goroutine = GO_G(ctx) };

	return key;
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
	struct operation_slot *slot = &o->operation.slot;
	slot->place = place;
	slot->first = slot->begun + 1;
	__builtin_memset(&slot->goroutine, 0, sizeof(*slot) - __builtin_offsetof(struct operation_slot, goroutine));
	if (bpf_map_update_elem(&places, key, &place, BPF_NOEXIST)) {
		bpf_map_push_elem(&free_places, &place, BPF_ANY);
		return NULL;
	}
	slot->owner = *key;
	__u32 *found = place_found_at(key);
	if (found)
		*found = place;
	__u64 *n = count_of_operations();
	if (n)
		__sync_fetch_and_add(n, 1);
	return o;
}

// enter returns the key's entry for a new operation: o if there is one already, else a new one, NULL if all are taken, which is counted.
// Whatever operation was there before, the probe clears what it uses, apart from the slot.
static __always_inline struct any_operation *enter(struct span_key *key, struct any_operation *o)
{
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

static __always_inline void disown_number(struct span_key *key, struct operation_slot *slot)
{
	struct span_key k = { .target = key->target, .role = key->role, .goroutine = slot->goroutine };

	if (k.goroutine && k.role == ROLE_CLIENT && inject_enabled)
		bpf_map_delete_elem(&callers, &k);
	slot->goroutine = 0;
}

// own_number notes which goroutine it is that calls, where the call begins: its g may have been another's before.
static __always_inline void own_number(struct span_key *key, struct operation_slot *slot, __u64 goroutine)
{
	struct span_key k = { .target = key->target, .role = key->role, .goroutine = goroutine };
	__u32 place = slot->place;

	if (slot->goroutine == goroutine)
		return;
	disown_number(key, slot);
	slot->goroutine = goroutine;
	if (k.role == ROLE_CLIENT && inject_enabled)
		bpf_map_update_elem(&callers, &k, &place, BPF_ANY);
}

// own_context makes the operation known by a context; only one at a time.
static __always_inline void own_context(struct span_key *key, struct operation_slot *slot, __u64 context)
{
	struct context_key k = { .target = key->target, .context = context };
	__u32 place = slot->place;

	if (context && !bpf_map_update_elem(&contexts, &k, &place, BPF_ANY))
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

	slot->state = OPERATION_IDLE;
	slot->g = 0;
	slot->owner.goroutine = 0;
	disown_number(key, slot);
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

// too_many_idle says whether an entry that is idle now should rather be removed.
static __always_inline bool too_many_idle(void)
{
	__u64 *n = count_of_operations();
	return n && *n > idle_max;
}

// rest keeps the goroutine's entry for its next operation, if there are not too many of such.
static __always_inline void rest(struct span_key *key, struct operation_slot *slot)
{
	slot->state = OPERATION_IDLE;
	if (too_many_idle())
		leave(key, slot);
}

// takes_end says whether an end that was seen is the operation's. Goroutines can end a shared one at the same time: one of them removes its
// context, and then has its entry to itself until that is idle. (Compare-and-swap needs Linux 5.12.)
static __always_inline bool takes_end(struct span_key *key, struct operation_slot *slot)
{
	struct context_key k = { .target = key->target, .context = slot->context_key };

	return slot->state != OPERATION_IDLE && (!k.context || !bpf_map_delete_elem(&contexts, &k));
}

static __always_inline __u32 *place_served_at(__u64 g)
{
	__u32 i = one_of_1024(g);

	return has_attach_cookie ? bpf_map_lookup_elem(&served_at, &i) : NULL; // as place_found_at
}

// note_server lets find_server find the entry, where the goroutine that runs begins to serve.
static __always_inline void note_server(struct pt_regs *ctx, struct span_key *key, struct operation_slot *slot)
{
	__u32 *place = place_served_at(GO_G(ctx));

	slot->goroutine = key->goroutine;
	slot->g = GO_G(ctx);
	if (place)
		*place = slot->place;
}

// served_here returns the entry of the goroutine of a g if it is known where it has begun to serve; NULL says nothing.
static __always_inline struct any_operation *served_here(__u32 target, __u64 g)
{
	__u32 *place = place_served_at(g);
	struct any_operation *o = place ? operation_at(*place) : NULL;

	return o && o->operation.slot.g == g && o->operation.head.target == target ? o : NULL;
}

// serving returns the request that the goroutine of a g serves, if it is known where it has begun to; NULL says nothing.
static __always_inline struct any_operation *serving(__u32 target, __u64 g)
{
	struct any_operation *o = served_here(target, g);

	return o && o->operation.slot.state != OPERATION_IDLE ? o : NULL;
}

// find_server returns the entry of the goroutine that runs, as a server, and its key; NULL if it has none. A g is another goroutine's when its own has
// ended; that one's entry is found here only if it has begun to serve itself.
static __always_inline struct any_operation *find_server(struct pt_regs *ctx, struct span_key *key)
{
	__u32 target = target_id(ctx);
	struct any_operation *o = served_here(target, GO_G(ctx));

	if (o) {
		key->target = target;
		key->role = ROLE_SERVER;
		key->goroutine = o->operation.slot.goroutine;
		return o;
	}
	*key = server_key(ctx);
	return find_operation(key);
}

// find_served returns the request that a goroutine serves, NULL if it serves none.
static __always_inline struct any_operation *find_served(__u32 target, __u64 goroutine)
{
	struct span_key key = { .target = target, .role = ROLE_SERVER, .goroutine = goroutine };
	struct any_operation *o = find_operation(&key);

	return o && o->operation.slot.state != OPERATION_IDLE ? o : NULL;
}

// find_caller returns the call that a goroutine is at, given its number; NULL if it is at none.
static __always_inline struct any_operation *find_caller(__u32 target, __u64 goroutine)
{
	struct span_key key = { .target = target, .role = ROLE_CLIENT, .goroutine = goroutine };
	__u32 *place = bpf_map_lookup_elem(&callers, &key);
	struct any_operation *o = place ? operation_at(*place) : NULL;

	return o && o->operation.slot.goroutine == goroutine && o->operation.slot.state != OPERATION_IDLE ? o : NULL;
}

// ref_to is an operation as others remember it: its place and its number there. Never 0.
static __always_inline __u64 ref_to(struct operation_slot *slot)
{
	return (__u64)slot->begun << 32 | slot->place;
}

// find_ref returns the operation, NULL if it is over or ref is 0.
static __always_inline struct any_operation *find_ref(__u64 ref)
{
	struct any_operation *o = ref ? operation_at(ref) : NULL;

	return o && ref_to(&o->operation.slot) == ref && o->operation.slot.state != OPERATION_IDLE ? o : NULL;
}
