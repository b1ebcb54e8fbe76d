package bpf

// resultRegister is the offset of ax in struct pt_regs.
// https://github.com/torvalds/linux/blob/v6.18/arch/x86/include/uapi/asm/ptrace.h
const resultRegister = 80
