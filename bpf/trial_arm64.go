package bpf

// resultRegister is the offset of regs[0] in struct user_pt_regs.
// https://github.com/torvalds/linux/blob/v6.18/arch/arm64/include/uapi/asm/ptrace.h
const resultRegister = 0
