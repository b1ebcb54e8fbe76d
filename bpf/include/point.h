// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Probe points: what the analysis of a binary's code (process.Point) tells a program about the place it runs at.
#pragma once

#include "event.h"
#include "go.h"

enum branch { BRANCH_ANY, BRANCH_TAKEN, BRANCH_NOT_TAKEN };
enum place { PLACE_UNKNOWN, PLACE_REGISTER, PLACE_STACK };

// One word's place at a point: a register by its hardware number, or [SP+off].
struct location {
	__s32 off;
	__u8 place, reg, pad[2];
};

#define MAX_POINTS 64
#define MAX_RESULTS 4

struct point {
	__u64 addr; // link-time address
	__u8 branch, cc; // counts only if the branch at addr goes this way
	__u8 site; // which of its program's sites this is a point of
	__u8 behind; // how far behind the call's return it is
	__u8 ret; // the instruction is a RET, which the kernel would have to single-step
	__u8 pad[3];
	struct location results[MAX_RESULTS];
};

// The points of one program.
struct points {
	__u64 n;
	__u64 fixed; // bits of an address that are the same wherever the executable was loaded: all, or of a PIE those within a page
	struct point at[MAX_POINTS];
};

// find_point returns the point that the program stopped at, NULL if the branch there goes another way (a stack that is
// about to grow: the function will start again).
static __always_inline const volatile struct point *find_point(struct pt_regs *ctx, const volatile struct points *ps)
{
	__u32 i = 0;

	if (has_attach_cookie) {
		i = bpf_get_attach_cookie(ctx) >> 32;
	} else {
		__u64 ip = REG_IP(ctx);
#pragma clang loop unroll(disable)
		for (; i < MAX_POINTS && i < ps->n; i++) {
			if (!((ps->at[i].addr ^ ip) & ps->fixed))
				break;
		}
		// The verifier must not know which: it would walk through the program for each.
		__u32 veil = ip & (2 * MAX_POINTS - 1);
		i ^= veil;
		barrier_var(i);
		i ^= veil;
	}
	barrier_var(i);
	if (i >= MAX_POINTS)
		return NULL;
	const volatile struct point *p = &ps->at[i];
	if (i >= ps->n)
		return NULL;
	if (p->branch == BRANCH_ANY)
		return p;
	return condition_holds(ctx, p->cc) == (p->branch == BRANCH_TAKEN) ? p : NULL;
}

// load_bias is what the loader added to the file's addresses: 0 unless the executable is position independent.
static __always_inline __u64 load_bias(struct pt_regs *ctx, const volatile struct point *p)
{
	return REG_IP(ctx) - p->addr;
}

// result_word reads the i-th result word, 0 if its place is unknown.
static __always_inline __u64 result_word(struct pt_regs *ctx, const volatile struct point *p, int i)
{
	const volatile struct location *l = &p->results[i];
	__u64 v = 0;

	if (l->place == PLACE_REGISTER)
		return reg_value(ctx, l->reg);
	if (l->place == PLACE_STACK)
		bpf_probe_read_user(&v, sizeof(v), (void *)(REG_SP(ctx) + l->off));
	return v;
}

volatile const __u8 may_write_registers; // the kernel lets programs do so

// carry_out does the RET that the program has stopped at, if it is one: the kernel skips it then. Last in a program; p is NULL if the
// stop does not count. Another agent's program may have done it a moment ago: then the word below the stack pointer is where it has led to.
static __always_inline void carry_out(struct pt_regs *ctx, const volatile struct point *p)
{
	if (may_write_registers && p && p->ret && !((REG_IP(ctx) ^ p->addr) & 0xfff) && read_u64(REG_SP(ctx) - sizeof(__u64)) != REG_IP(ctx))
		return_from(ctx);
}
