package process

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/arch/arm64/arm64asm"
)

const (
	arm64SP  = 31 // as a base register and in ADD and SUB; elsewhere the number 31 is the zero register
	arm64FP  = 29
	arm64All = 1<<31 - 1
)

// arm64 follows https://github.com/golang/go/blob/go1.26.0/src/cmd/compile/abi-internal.md#arm64-architecture.
var arm64 = arch{
	decode:  decodeARM64,
	text:    textARM64,
	results: []uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	args:    1<<16 - 1 | 1<<26,
	padding: 0,

	linkRegister: true,
}

func textARM64(b []byte, addr uint64, name func(uint64) string) string {
	x, err := arm64asm.Decode(b)
	if err != nil {
		return fmt.Sprintf("WORD $%#08x", binary.LittleEndian.Uint32(b))
	}
	return arm64asm.GoSyntax(x, addr, func(a uint64) (string, uint64) {
		if n := name(a); n != "" {
			return n, a
		}
		return "", 0
	}, strings.NewReader(""))
}

// decodeARM64 reads the encoding itself: the groups are few, and every word has a meaning for the analysis, if only
// that it may change everything. The numbers are from the Arm Architecture Reference Manual, "A64 instruction set
// encoding": https://developer.arm.com/documentation/ddi0602/latest/Index-by-Encoding
func decodeARM64(b []byte, addr uint64) (insn, error) {
	if len(b) < 4 {
		return insn{}, fmt.Errorf("% x: a part of an instruction", b)
	}
	w := word(binary.LittleEndian.Uint32(b))
	in := insn{addr: addr, size: 4}
	switch w.bits(25, 4) {
	case 0: // reserved
		in.flow, in.refused = flowTrap, true
	case 0b1000, 0b1001:
		immediateARM64(&in, w)
	case 0b1010, 0b1011:
		branchARM64(&in, w)
	case 0b0100, 0b0110, 0b1100, 0b1110:
		memoryARM64(&in, w)
	case 0b0101, 0b1101:
		registerARM64(&in, w)
	case 0b0111, 0b1111: // floating point; some write a general register
		in.clobber(w.rd())
	default: // SVE, SME
		in.clobbers, in.pointers, in.refused = arm64All, true, true
	}
	return in, nil
}

// word is an arm64 instruction.
type word uint32

func (w word) bits(low, n uint) uint32 { return uint32(w) >> low & (1<<n - 1) }
func (w word) bit(n uint) bool         { return w.bits(n, 1) == 1 }
func (w word) rd() uint8               { return uint8(w.bits(0, 5)) }
func (w word) rn() uint8               { return uint8(w.bits(5, 5)) }
func (w word) rm() uint8               { return uint8(w.bits(16, 5)) }

// signed returns the n bits from low on as a signed number.
func (w word) signed(low, n uint) int64 {
	return int64(uint64(w.bits(low, n))<<(64-n)) >> (64 - n)
}

// clobber notes that a register gets an unknown value; 31 is the zero register.
func (in *insn) clobber(r uint8) {
	if r != 31 {
		in.clobbers |= 1 << r
	}
}

// branchARM64 covers branches, exceptions and system instructions. What the kernel simulates:
// https://github.com/torvalds/linux/blob/v6.12/arch/arm64/kernel/probes/decode-insn.c
func branchARM64(in *insn, w word) {
	jump := func(f flow, offset int64) {
		in.flow, in.target, in.cost = f, in.addr+uint64(4*offset), Emulated
	}
	switch {
	case w&0xfc000000 == 0x14000000: // B
		jump(flowJump, w.signed(0, 26))
	case w&0xfc000000 == 0x94000000: // BL
		jump(flowCall, w.signed(0, 26))
	case w&0xff000010 == 0x54000000: // B.cond
		jump(flowBranch, w.signed(5, 19))
		in.flags, in.cc = true, uint8(w.bits(0, 4))
	case w&0x7e000000 == 0x34000000: // CBZ, CBNZ
		jump(flowBranch, w.signed(5, 19))
		in.zeroBranch, in.tested, in.whenZero = w.bit(31), w.rd(), Taken
		if w.bit(24) {
			in.whenZero = NotTaken
		}
	case w&0x7e000000 == 0x36000000: // TBZ, TBNZ
		jump(flowBranch, w.signed(5, 14))
	case w&0xfffffc1f == 0xd61f0000: // BR
		in.flow, in.cost = flowJumpReg, Emulated
	case w&0xfffffc1f == 0xd63f0000: // BLR
		in.flow, in.cost = flowCallReg, Emulated
	case w&0xfffffc1f == 0xd65f0000: // RET
		in.flow, in.cost = flowRet, Emulated
	case w&0xfe000000 == 0xd6000000: // the same with pointer authentication, ERET
		in.refused = true
		in.flow = [4]flow{flowJumpReg, flowCallReg, flowRet, flowRet}[w.bits(21, 2)]
	case w&0xff000000 == 0xd4000000: // SVC, BRK, HLT
		in.refused = true
		in.clobbers, in.pointers = arm64All, true
		if w&0xffe0001f != 0xd4000001 {
			in.flow = flowTrap
		}
	case w&0xffc00000 == 0xd5000000:
		systemARM64(in, w)
	default:
		in.flow, in.refused = flowTrap, true
	}
}

// systemARM64 covers hints, barriers and system registers. A NOP is simulated only from Linux 6.13 on; other hints
// (BTI, PACIASP) and writes of system registers are left alone.
func systemARM64(in *insn, w word) {
	const nop = 0xd503201f
	switch {
	case w == nop:
	case w&0xfffff0ff == 0xd503305f: // CLREX
		in.flow, in.refused = flowMonitor, true
	case w&0xfffff01f == 0xd503301f: // DMB, DSB, ISB
	case w.bit(21): // MRS, SYSL
		in.clobber(w.rd())
	default:
		in.refused = true
	}
}

// immediateARM64 covers arithmetic with constants.
func immediateARM64(in *insn, w word) {
	rd := w.rd()
	switch {
	case w&0x1f000000 == 0x10000000: // ADR, ADRP
		in.cost = Emulated
		in.clobber(rd)
	case w&0x1f800000 == 0x11000000: // ADD, SUB
		off := int64(w.bits(10, 12))
		if w.bit(22) {
			off <<= 12
		}
		if w.bit(30) {
			off = -off
		}
		if w.bit(29) {
			in.clobber(rd)
			return
		}
		in.sum = &sum{dst: rd, base: w.rn(), off: off}
		addARM64(in)
	case w&0x7f800000 == 0x52800000: // MOVZ
		value := int64(w.bits(5, 16)) << (16 * w.bits(21, 2))
		if rd != 31 {
			in.moves = []move{{dst: place{inRegister, rd, 0}, src: place{constant, 0, value}, size: 8}}
		}
	case w&0x1f800000 == 0x12000000 && rd == arm64SP && w.bits(29, 2) != 3: // AND, ORR, EOR
		in.spLost = true
	default:
		in.clobber(rd)
	}
}

// addARM64 notes the effect of in.sum, in which number 31 is SP.
func addARM64(in *insn) {
	s := in.sum
	switch {
	case s.dst == arm64SP && s.base == arm64SP && !s.indexed:
		in.sp = s.off
		return
	case s.dst == arm64SP:
		in.spLost = true
		return
	case s.base == arm64SP && s.dst != arm64FP && s.indexed && s.sign > 0:
		in.exposes = true
	case s.base == arm64SP && s.dst != arm64FP && !s.indexed && s.off >= 0:
		// What is below SP is the stack check's arithmetic, or the new SP.
		in.exposes, in.exposed = true, s.off
	}
	in.clobber(s.dst)
}

// registerARM64 covers arithmetic with registers.
func registerARM64(in *insn, w word) {
	rd, rm := w.rd(), w.rm()
	switch {
	case w&0x7fe0ffe0 == 0x2a0003e0: // MOV, which is ORR with the zero register
		if rd == 31 {
			return
		}
		m := move{dst: place{inRegister, rd, 0}, src: place{inRegister, rm, 0}, size: 4}
		if w.bit(31) {
			m.size = 8
		}
		if rm == 31 {
			m.src, m.size = place{kind: constant}, 8
		}
		in.moves = []move{m}
	case w&0x3fe00000 == 0x0b200000: // ADD, SUB with an extended register, as SP needs
		in.sum = &sum{dst: rd, base: w.rn(), index: rm, indexed: true, sign: 1}
		if w.bit(30) {
			in.sum.sign = -1
		}
		addARM64(in)
	default:
		in.clobber(rd)
	}
}
