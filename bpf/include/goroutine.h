// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// What the runtime's g says of the goroutine that runs: https://github.com/golang/go/blob/go1.26.0/src/runtime/runtime2.go
#pragma once

#include "go.h"

#define G_BUFFER 304 // bytes of a g, which has 392 and more

volatile const __s64 g_stack_hi;

// The largest offset that the programs can cope with, for user space to check.
enum goroutine_limits { G_OFFSET_MAX = G_BUFFER - 8 };

struct goroutine {
	__u64 number;
	__u64 creator; // its number, 0: unknown
	__u64 depth; // of its stack: how much is in use, which stays the same when the stack is moved
};

// depth_of returns how much of the stack is in use, 0 if that cannot be read.
static __always_inline __u64 depth_of(struct pt_regs *ctx)
{
	__u64 high = read_u64(GO_G(ctx) + g_stack_hi);

	return high ? high - REG_SP(ctx) : 0;
}

static __always_inline __u64 word_of_g(const __u8 *buffer, __s64 offset)
{
	return offset >= 0 && offset <= G_BUFFER - 8 ? WORD_AT(buffer, offset) : 0;
}

// read_goroutine reads by one access what would be three: false if that fails. Not inlined, for a stack of its own.
static __noinline __attribute__((unused)) bool read_goroutine(struct pt_regs *ctx, struct goroutine *out)
{
	__u8 buffer[G_BUFFER] __attribute__((aligned(8)));

	if (bpf_probe_read_user(buffer, sizeof(buffer), (void *)GO_G(ctx)))
		return false;
	out->number = word_of_g(buffer, runtime_g_goid);
	out->creator = word_of_g(buffer, g_parent_goid);
	out->depth = word_of_g(buffer, g_stack_hi) - REG_SP(ctx);
	return out->number != 0;
}
