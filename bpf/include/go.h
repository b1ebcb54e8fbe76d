// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Reading Go values of the target. Every read may fail (a page not present); the value is then zero.
#pragma once

#include "regs.h"

#define ABSENT (-1) // an offset that this binary does not have

struct go_string {
	__u64 ptr;
	__u64 len;
};

struct go_slice {
	__u64 ptr;
	__u64 len;
	__u64 cap;
};

// An interface value: its type word (an itab, or a type descriptor for `any`) and its data word.
struct go_iface {
	__u64 type;
	__u64 data;
};

// Words of a struct that was read whole.
#define WORD_AT(buffer, offset) (*(__u64 *)((buffer) + (offset)))
#define STRING_AT(buffer, offset) (*(struct go_string *)((buffer) + (offset)))

static __always_inline __u64 read_u64(__u64 addr)
{
	__u64 v = 0;
	bpf_probe_read_user(&v, sizeof(v), (void *)addr);
	return v;
}

static __always_inline __u8 read_u8(__u64 addr)
{
	__u8 v = 0;
	bpf_probe_read_user(&v, sizeof(v), (void *)addr);
	return v;
}

static __always_inline struct go_string read_string_header(__u64 addr)
{
	struct go_string s = {};
	bpf_probe_read_user(&s, sizeof(s), (void *)addr);
	return s;
}

// first_value returns the first element of a []string, "" if there is none.
static __always_inline struct go_string first_value(struct go_slice values)
{
	struct go_string none = {};
	return values.len ? read_string_header(values.ptr) : none;
}

volatile const __s64 runtime_g_goid;
volatile const __s64 g_parent_goid; // ABSENT before Go 1.21

static __always_inline __u64 goroutine_id(struct pt_regs *ctx)
{
	return read_u64(GO_G(ctx) + runtime_g_goid);
}

// Itabs and type descriptors by their link-time addresses; a binary may hold several of the same.
#define MAX_ADDRS 8
struct addr_set {
	__u64 n;
	__u64 addr[MAX_ADDRS];
};

static __always_inline bool in_set(const volatile struct addr_set *set, __u64 addr)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_ADDRS; i++) {
		if (i >= set->n)
			return false;
		if (set->addr[i] == addr)
			return true;
	}
	return false;
}
