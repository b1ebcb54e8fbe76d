// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Operations that could not be read where they began, as the kernel was just moving a page: they are read when their target comes by a probe again.
#pragma once

#include "operation.h"

#define MAX_POSTPONED 16 // of a target, and a role

// Their ref_to. The key's goroutine is a number below MAX_POSTPONED; they have the first ones.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct span_key);
	__type(value, __u64);
} postponed SEC(".maps");

static __always_inline struct any_operation *find_unread(__u64 ref)
{
	struct any_operation *o = find_ref(ref);

	return o && o->operation.slot.state == OPERATION_UNREAD ? o : NULL;
}

// postpone_as keeps the operation at a place as the target's i-th: 1 if no other is that. Global: the verifier checks it once.
__noinline int postpone_as(__u32 place, __u32 i)
{
	struct any_operation *o = operation_at(place);

	if (!o)
		return 0;
	struct operation_slot *slot = &o->operation.slot;
	struct span_key k = { .target = slot->owner.target, .role = slot->owner.role, .goroutine = i };
	__u64 ref = ref_to(slot), *other = bpf_map_lookup_elem(&postponed, &k);
	if (other && find_unread(*other))
		return 0;
	if (other)
		bpf_map_delete_elem(&postponed, &k); // it has ended
	return !bpf_map_update_elem(&postponed, &k, &ref, BPF_NOEXIST);
}

static __always_inline void postpone(struct operation_slot *slot)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_POSTPONED; i++) {
		if (postpone_as(slot->place, i))
			return;
	}
}

// take_postponed takes the operation that a key has in postponed, and returns its ref_to: nobody else takes it. 0: it has none.
static __always_inline __u64 take_postponed(struct span_key *k)
{
	__u64 *value = bpf_map_lookup_elem(&postponed, k), ref = value ? *value : 0;

	return ref && !bpf_map_delete_elem(&postponed, k) ? ref : 0;
}
