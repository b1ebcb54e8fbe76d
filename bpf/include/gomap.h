// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Walking a Go map of the target, group by group: Swiss maps (Go 1.24+,
// https://github.com/golang/go/blob/go1.26.0/src/internal/runtime/maps/map.go) and bucket maps before
// (https://github.com/golang/go/blob/go1.23.0/src/runtime/map.go). All offsets come from the binary's own descriptors.
#pragma once

#include "go.h"

#define MAP_SLOTS 8 // slots of a group or bucket, both kinds
#define MAP_GROUP_MAX 352 // bytes of a group that can be read: map[string][]string has 328 or 336
#define MAP_MAX_GROUPS 512
#define MAP_SAME_SIZE_GROW 8 // a flag of runtime.hmap: the old buckets are as many

struct go_map_layout {
	// of the map's head
	__u32 dir_ptr, dir_len; // Swiss: the only group, or a directory of tables
	__u32 flags, log2_buckets, buckets, old_buckets; // before
	// of a Swiss table
	__u32 table_groups, table_mask;
	// of a group or bucket
	__u32 control; // one byte a slot
	__u32 keys, key_stride, elems, elem_stride;
	__u32 overflow;
	__u32 group_size;
	__u32 swiss;
};

// Where a walk is: run next_group until walk_done; a step may yield no group.
struct map_walk {
	__u64 groups, left; // consecutive groups, the next one first
	__u64 overflow; // of the group returned last
	__u64 more, more_left; // Swiss: the directory's rest; before: the old buckets
	__u64 table;
	__u64 unread; // something was there that could not be read
};

// What a walk needs of a map's head, both kinds, lies within so many bytes.
#define MAP_HEAD 48

static __always_inline __u64 head_word(const __u8 *head, __u32 offset)
{
	return offset <= MAP_HEAD - 8 ? *(__u64 *)(head + offset) : 0;
}

static __always_inline __u8 head_byte(const __u8 *head, __u32 offset)
{
	return offset < MAP_HEAD ? head[offset] : 0;
}

static __always_inline void start_walk(struct map_walk *w, __u64 map, const volatile struct go_map_layout *l)
{
	__u8 head[MAP_HEAD] __attribute__((aligned(8))) = {};

	__builtin_memset(w, 0, sizeof(*w)); // an earlier walk may have ended at the same table
	w->unread = map && bpf_probe_read_user(head, sizeof(head), (void *)map);
	if (!map || w->unread || !head_word(head, 0)) // a map's length comes first in both kinds
		return;
	if (l->swiss) {
		__u64 dir = head_word(head, l->dir_ptr), n = head_word(head, l->dir_len);
		if (n) {
			w->more = dir;
			w->more_left = n;
		} else {
			w->groups = dir;
			w->left = 1;
		}
		return;
	}
	__u8 b = head_byte(head, l->log2_buckets);
	if (b > 16)
		return;
	w->groups = head_word(head, l->buckets);
	w->left = 1ULL << b;
	w->more = head_word(head, l->old_buckets); // while the map grows
	if (!w->more)
		return;
	if (b && !(head_byte(head, l->flags) & MAP_SAME_SIZE_GROW))
		b--;
	w->more_left = 1ULL << b;
}

static __always_inline bool walk_done(struct map_walk *w)
{
	return !w->left && !w->more_left && !w->overflow;
}

static __always_inline __u64 walk_word(struct map_walk *w, __u64 addr)
{
	__u64 v = 0;

	if (bpf_probe_read_user(&v, sizeof(v), (void *)addr))
		w->unread = 1;
	return v;
}

// next_group returns the address of the next group, or 0.
static __always_inline __u64 next_group(struct map_walk *w, const volatile struct go_map_layout *l)
{
	if (!l->swiss && w->overflow) {
		__u64 g = w->overflow;
		w->overflow = read_u64(g + l->overflow);
		return g;
	}
	if (!w->left && w->more_left) {
		if (l->swiss) {
			__u64 table = walk_word(w, w->more);
			w->more += 8;
			w->more_left--;
			if (table != w->table) { // a table may fill several places of the directory
				w->table = table;
				w->groups = walk_word(w, table + l->table_groups);
				w->left = walk_word(w, table + l->table_mask) + 1;
			}
		} else {
			w->groups = w->more;
			w->left = w->more_left;
			w->more_left = 0;
		}
	}
	if (!w->groups)
		w->left = 0; // a map that never had an entry
	if (!w->left)
		return 0;
	__u64 g = w->groups;
	w->groups += l->group_size;
	w->left--;
	if (!l->swiss)
		w->overflow = read_u64(g + l->overflow);
	return g;
}

// A slot is filled if its control byte says so: Swiss, the top bit is clear; before, tophash ≥ minTopHash (5), which is
// also false for a slot that has been moved to a grown map.
static __always_inline bool slot_filled(__u8 control, const volatile struct go_map_layout *l)
{
	return l->swiss ? !(control & 0x80) : control >= 5;
}

#define PAGE_BYTES 4096 // the smallest page of Linux on amd64 and arm64

// read_group copies a group or bucket to buf, MAP_GROUP_MAX bytes. Its end may lie on a page that nobody has written to yet, which cannot
// be read: what is there is empty.
static __always_inline bool read_group(__u8 *buf, __u64 group, const volatile struct go_map_layout *l)
{
	__u32 size = l->group_size;
	__u64 here = PAGE_BYTES - (group & (PAGE_BYTES - 1));

	if (!group || size > MAP_GROUP_MAX)
		return false;
	if (!bpf_probe_read_user(buf, size, (void *)group))
		return true;
	barrier_var(here);
	if (here >= size || here > MAP_GROUP_MAX)
		return false;
	__builtin_memset(buf, 0, MAP_GROUP_MAX);
	return !bpf_probe_read_user(buf, here, (void *)group);
}
