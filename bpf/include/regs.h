// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The registers of Go's ABIInternal, by role. A uprobe program's context is the user's register file: struct pt_regs on amd64
// (https://elixir.bootlin.com/linux/v6.12/source/arch/x86/include/uapi/asm/ptrace.h), struct user_pt_regs on arm64. It is
// spelled out here, so that one machine builds the programs of both.
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

// LOAD_REG loads one register where the register to load is only known at run time. Of plain loads the compiler would make
// one, at a variable offset into the context, which the verifier refuses.
#define LOAD_REG(ctx, reg) ({ \
	__u64 v; \
	asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(v) : "r"(ctx), "i"(__builtin_offsetof(struct pt_regs, reg))); \
	v; \
})

// STORE_REG changes a register of the target; kernels from 6.19 allow it. As above, the place must not be made a variable one.
#define STORE_REG(ctx, reg, value) ({ \
	__u64 v = (value); \
	asm volatile("*(u64 *)(%0 + %1) = %2" : : "r"(ctx), "i"(__builtin_offsetof(struct pt_regs, reg)), "r"(v) : "memory"); \
})

enum comes_back { COMES_BACK_NOT, COMES_BACK, COMES_BACK_UNREAD }; // the last: that cannot be read

#if defined(__TARGET_ARCH_x86)

struct pt_regs {
	__u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
	__u64 orig_ax, ip, cs, flags, sp, ss;
};

// https://go.dev/s/regabi: integer arguments and results, the current g, the closure context.
#define GO_ARG1(ctx) ((ctx)->ax)
#define GO_ARG2(ctx) ((ctx)->bx)
#define GO_ARG3(ctx) ((ctx)->cx)
#define GO_ARG4(ctx) ((ctx)->di)
#define GO_ARG5(ctx) ((ctx)->si)
#define GO_ARG6(ctx) ((ctx)->r8)
#define GO_ARG7(ctx) ((ctx)->r9)
#define GO_ARG8(ctx) ((ctx)->r10)
#define GO_ARG9(ctx) ((ctx)->r11)
#define GO_G(ctx) ((ctx)->r14)
#define REG_IP(ctx) ((ctx)->ip)
#define REG_SP(ctx) ((ctx)->sp)

#define SET_ARG1(ctx, v) STORE_REG(ctx, ax, v)
#define SET_ARG2(ctx, v) STORE_REG(ctx, bx, v)
#define SET_ARG3(ctx, v) STORE_REG(ctx, cx, v)
#define SET_ARG4(ctx, v) STORE_REG(ctx, di, v)
#define SET_ARG5(ctx, v) STORE_REG(ctx, si, v)
#define SET_IP(ctx, v) STORE_REG(ctx, ip, v)

// call_comes_back says whether a call made here would return to an address from low to high: that is the return address of the last
// call, which no longer counts and is still there, right below the stack.
static __always_inline enum comes_back call_comes_back(struct pt_regs *ctx, __u64 low, __u64 high)
{
	__u64 to;

	if (bpf_probe_read_user(&to, sizeof(to), (void *)(REG_SP(ctx) - 8)))
		return COMES_BACK_UNREAD;
	return to >= low && to <= high ? COMES_BACK : COMES_BACK_NOT;
}

// return_from does a RET.
static __always_inline void return_from(struct pt_regs *ctx)
{
	__u64 to;

	if (bpf_probe_read_user(&to, sizeof(to), (void *)REG_SP(ctx)))
		return;
	SET_IP(ctx, to);
	STORE_REG(ctx, sp, REG_SP(ctx) + 8);
}

// make_call enters the function that begins at fn. The call comes back.
static __always_inline void make_call(struct pt_regs *ctx, __u64 fn, __u64 back)
{
	STORE_REG(ctx, sp, REG_SP(ctx) - 8);
	SET_IP(ctx, fn);
}

// reg_value returns the register with the hardware number n.
static __always_inline __u64 reg_value(struct pt_regs *ctx, __u8 n)
{
	switch (n) {
	case 0: return LOAD_REG(ctx, ax);
	case 1: return LOAD_REG(ctx, cx);
	case 2: return LOAD_REG(ctx, dx);
	case 3: return LOAD_REG(ctx, bx);
	case 4: return LOAD_REG(ctx, sp);
	case 5: return LOAD_REG(ctx, bp);
	case 6: return LOAD_REG(ctx, si);
	case 7: return LOAD_REG(ctx, di);
	case 8: return LOAD_REG(ctx, r8);
	case 9: return LOAD_REG(ctx, r9);
	case 10: return LOAD_REG(ctx, r10);
	case 11: return LOAD_REG(ctx, r11);
	case 12: return LOAD_REG(ctx, r12);
	case 13: return LOAD_REG(ctx, r13);
	case 14: return LOAD_REG(ctx, r14);
	default: return LOAD_REG(ctx, r15);
	}
}

// condition_holds evaluates the condition code of a Jcc (its opcode's low four bits) on the flags at the probe.
static __always_inline bool condition_holds(struct pt_regs *ctx, __u8 cc)
{
	__u64 f = ctx->flags;
	bool cf = f & 1, pf = f & 4, zf = f & 0x40, sf = f & 0x80, of = f & 0x800;
	bool holds;

	switch (cc >> 1) {
	case 0: holds = of; break;
	case 1: holds = cf; break;
	case 2: holds = zf; break;
	case 3: holds = cf || zf; break;
	case 4: holds = sf; break;
	case 5: holds = pf; break;
	case 6: holds = sf != of; break;
	default: holds = zf || sf != of; break;
	}
	return holds != (cc & 1);
}

#elif defined(__TARGET_ARCH_arm64)

struct pt_regs {
	__u64 regs[31];
	__u64 sp, pc, pstate;
};

#define GO_ARG1(ctx) ((ctx)->regs[0])
#define GO_ARG2(ctx) ((ctx)->regs[1])
#define GO_ARG3(ctx) ((ctx)->regs[2])
#define GO_ARG4(ctx) ((ctx)->regs[3])
#define GO_ARG5(ctx) ((ctx)->regs[4])
#define GO_ARG6(ctx) ((ctx)->regs[5])
#define GO_ARG7(ctx) ((ctx)->regs[6])
#define GO_ARG8(ctx) ((ctx)->regs[7])
#define GO_ARG9(ctx) ((ctx)->regs[8])
#define GO_G(ctx) ((ctx)->regs[28])
#define REG_IP(ctx) ((ctx)->pc)
#define REG_SP(ctx) ((ctx)->sp)
#define SET_ARG1(ctx, v) STORE_REG(ctx, regs[0], v)
#define SET_ARG2(ctx, v) STORE_REG(ctx, regs[1], v)
#define SET_ARG3(ctx, v) STORE_REG(ctx, regs[2], v)
#define SET_ARG4(ctx, v) STORE_REG(ctx, regs[3], v)
#define SET_ARG5(ctx, v) STORE_REG(ctx, regs[4], v)
#define SET_IP(ctx, v) STORE_REG(ctx, pc, v)

// call_comes_back: a call made here returns where the link register says.
static __always_inline enum comes_back call_comes_back(struct pt_regs *ctx, __u64 low, __u64 high)
{
	return COMES_BACK;
}

// return_from does a RET.
static __always_inline void return_from(struct pt_regs *ctx)
{
	SET_IP(ctx, ctx->regs[30]);
}

// make_call enters the function that begins at fn and comes back to back.
static __always_inline void make_call(struct pt_regs *ctx, __u64 fn, __u64 back)
{
	STORE_REG(ctx, regs[30], back);
	SET_IP(ctx, fn);
}

static __always_inline __u64 reg_value(struct pt_regs *ctx, __u8 n)
{
	switch (n) {
	case 0: return LOAD_REG(ctx, regs[0]);
	case 1: return LOAD_REG(ctx, regs[1]);
	case 2: return LOAD_REG(ctx, regs[2]);
	case 3: return LOAD_REG(ctx, regs[3]);
	case 4: return LOAD_REG(ctx, regs[4]);
	case 5: return LOAD_REG(ctx, regs[5]);
	case 6: return LOAD_REG(ctx, regs[6]);
	case 7: return LOAD_REG(ctx, regs[7]);
	case 8: return LOAD_REG(ctx, regs[8]);
	case 9: return LOAD_REG(ctx, regs[9]);
	case 10: return LOAD_REG(ctx, regs[10]);
	case 11: return LOAD_REG(ctx, regs[11]);
	case 12: return LOAD_REG(ctx, regs[12]);
	case 13: return LOAD_REG(ctx, regs[13]);
	case 14: return LOAD_REG(ctx, regs[14]);
	case 15: return LOAD_REG(ctx, regs[15]);
	case 16: return LOAD_REG(ctx, regs[16]);
	case 17: return LOAD_REG(ctx, regs[17]);
	case 18: return LOAD_REG(ctx, regs[18]);
	case 19: return LOAD_REG(ctx, regs[19]);
	case 20: return LOAD_REG(ctx, regs[20]);
	case 21: return LOAD_REG(ctx, regs[21]);
	case 22: return LOAD_REG(ctx, regs[22]);
	case 23: return LOAD_REG(ctx, regs[23]);
	case 24: return LOAD_REG(ctx, regs[24]);
	case 25: return LOAD_REG(ctx, regs[25]);
	case 26: return LOAD_REG(ctx, regs[26]);
	case 27: return LOAD_REG(ctx, regs[27]);
	case 28: return LOAD_REG(ctx, regs[28]);
	case 29: return LOAD_REG(ctx, regs[29]);
	default: return LOAD_REG(ctx, regs[30]);
	}
}

// condition_holds evaluates an arm64 condition code on NZCV (pstate bits 31–28).
static __always_inline bool condition_holds(struct pt_regs *ctx, __u8 cc)
{
	__u64 f = ctx->pstate >> 28;
	bool v = f & 1, c = f & 2, z = f & 4, n = f & 8;
	bool holds;

	switch (cc >> 1) {
	case 0: holds = z; break;
	case 1: holds = c; break;
	case 2: holds = n; break;
	case 3: holds = v; break;
	case 4: holds = c && !z; break;
	case 5: holds = n == v; break;
	case 6: holds = n == v && !z; break;
	default: return true;
	}
	return holds != (cc & 1);
}

#else
#error "no registers known for this architecture"
#endif
