// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// What was read of the target where nothing ever changes: reading its memory is what costs most.
#pragma once

#include "event.h"

// The part of the program's file that it cannot change, by link-time addresses: its constants, its type descriptors.
struct address_range {
	__u64 low, size;
};

volatile const struct address_range read_only;

static __always_inline bool never_changes(__u64 addr, __u64 bias)
{
	return addr - bias - read_only.low < read_only.size;
}

// Programs write here at the same time, so each entry proves itself: key is made of both.
struct seen_word {
	__u64 key, value;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct seen_word);
} seen_words SEC(".maps");

#define MIX_WHAT 0x9e3779b97f4a7c15 // odd numbers without a pattern
#define MIX_VALUE 0xc2b2ae3d27d4eb4f
#define MIX_TARGET 0xd6e8feb86659fd93

static __always_inline __u64 seen_key(__u32 target, __u64 what)
{
	return (what + target * MIX_TARGET) * MIX_WHAT;
}

// seen_at is where a key may be. NULL below Linux 5.15: a target may have another's number there (its process ID), so nothing is kept.
static __always_inline struct seen_word *seen_at(__u64 key)
{
	__u32 i = key >> 54; // one of 1024

	return has_attach_cookie ? bpf_map_lookup_elem(&seen_words, &i) : NULL;
}

// recall returns what was remembered of something of the target that is named by its address; 0: nothing.
static __always_inline __u64 recall(__u32 target, __u64 what)
{
	__u64 key = seen_key(target, what), value;
	struct seen_word *seen = seen_at(key);

	if (!seen)
		return 0;
	value = *(volatile __u64 *)&seen->value;
	return value && (*(volatile __u64 *)&seen->key ^ value * MIX_VALUE) == key ? value : 0;
}

// remember keeps a value, not 0, for recall.
static __always_inline void remember(__u32 target, __u64 what, __u64 value)
{
	__u64 key = seen_key(target, what);
	struct seen_word *seen = seen_at(key);

	if (!seen)
		return;
	*(volatile __u64 *)&seen->value = value;
	*(volatile __u64 *)&seen->key = key ^ value * MIX_VALUE;
}

// What the programs look for among names, those of HTTP's headers (net/textproto's spelling) and those of gRPC's metadata. The text of a well-known one is
// a constant of the program: net/textproto has them, and HPACK's static table.
enum name_set { HTTP_NAMES, METADATA_NAMES };
enum name_kind {
	NAME_OTHER = 1,
	NAME_TRACEPARENT,
	NAME_TRACESTATE,
	NAME_USER_AGENT,
	NAME_FORWARDED,
	NAME_FORWARDED_FOR,
	NAME_FORWARDED_PROTO,
	NAME_FORWARDED_HOST,
	NAME_AUTHORITY,
	NAME_UNREAD, // it could not be read: nothing to remember
};

#define NAME_LONGEST 17

static __always_inline __u64 named(enum name_set set, __u64 ptr, __u64 len)
{
	return ptr ^ len << 56 ^ (__u64)set << 63;
}

// recall_name returns what is remembered of a name of at most NAME_LONGEST bytes, an enum name_kind; 0: nothing.
static __always_inline __u64 recall_name(__u32 target, enum name_set set, __u64 ptr, __u64 len, __u64 bias)
{
	return never_changes(ptr, bias) ? recall(target, named(set, ptr, len)) : 0;
}

static __always_inline void remember_name(__u32 target, enum name_set set, __u64 ptr, __u64 len, __u64 bias, enum name_kind kind)
{
	if (never_changes(ptr, bias))
		remember(target, named(set, ptr, len), kind);
}
