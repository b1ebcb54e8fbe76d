// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The stack of the goroutine that runs.
#pragma once

#include "go.h"

volatile const __s64 g_stack_hi;

// depth_of is how much of the goroutine's stack is in use: it stays the same when the stack is moved.
static __always_inline __u64 depth_of(struct pt_regs *ctx)
{
	return read_u64(GO_G(ctx) + g_stack_hi) - REG_SP(ctx);
}
