// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Reading what interface values hold whose type is only known when the target runs: an error, a driver's configuration.
#pragma once

#include "go.h"

#define MAX_VALUES 32
#define VALUE_STRINGS 3
#define VALUE_STEPS 3

enum value_limits { VALUE_PATH_END = -1, VALUE_STRING_COUNT = VALUE_STRINGS };

// A way from the data word of an interface value: add step[0]; for every further one read the pointer there and add that.
struct value_path {
	__s32 step[VALUE_STEPS]; // VALUE_PATH_END: no more; in the first place: there is nothing to read
};

struct known_value {
	__u64 type; // link-time address of its descriptor
	struct value_path strings[VALUE_STRINGS], number, inner;
	__u32 number_size; // bytes
};

struct known_values {
	__u64 n;
	struct known_value at[MAX_VALUES];
};

// value_index returns the place of a type in a set, -1 if nothing is known of it. To be called from a function of its own: the
// verifier would follow each place by itself.
static __always_inline int value_index(const volatile struct known_values *set, __u64 type)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_VALUES; i++) {
		if (i >= set->n)
			return -1;
		if (set->at[i].type == type)
			return i;
	}
	return -1;
}

// address_at follows a path, 0 if there is none.
static __always_inline __u64 address_at(const volatile struct value_path *p, __u64 data)
{
	if (p->step[0] == VALUE_PATH_END || !data)
		return 0;
	data += p->step[0];
#pragma unroll
	for (int i = 1; i < VALUE_STEPS; i++) {
		if (p->step[i] == VALUE_PATH_END)
			return data;
		data = read_u64(data);
		if (!data)
			return 0;
		data += p->step[i];
	}
	return data;
}

static __always_inline struct go_string value_string(const volatile struct known_value *v, int i, __u64 data)
{
	__u64 addr = address_at(&v->strings[i], data);
	struct go_string none = {};

	return addr ? read_string_header(addr) : none;
}

// value_number reads an integer of 1, 2, 4 or 8 bytes; smaller ones are not extended by their sign.
static __always_inline __u64 value_number(const volatile struct known_value *v, __u64 data)
{
	__u64 addr = address_at(&v->number, data), word = addr ? read_u64(addr) : 0;
	__u32 size = v->number_size;

	return size >= 8 ? word : word & ((1ULL << 8 * size) - 1);
}
