package process

import (
	"fmt"
	"slices"

	"golang.org/x/arch/x86/x86asm"
)

// Hardware numbers of the registers that the analysis treats specially.
const (
	amd64AX = 0
	amd64CX = 1
	amd64DX = 2
	amd64BX = 3
	amd64SP = 4
	amd64BP = 5
	amd64SI = 6
	amd64DI = 7

	amd64All = 1<<16 - 1
)

// amd64 follows https://github.com/golang/go/blob/go1.26.0/src/cmd/compile/abi-internal.md#amd64-architecture.
var amd64 = arch{
	decode:  decodeAMD64,
	text:    textAMD64,
	results: []uint8{amd64AX, amd64BX, amd64CX, amd64DI, amd64SI, 8, 9, 10, 11},
	args: 1<<amd64AX | 1<<amd64BX | 1<<amd64CX | 1<<amd64DI | 1<<amd64SI |
		1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<amd64DX,
	padding: 0xcc,
}

func textAMD64(b []byte, addr uint64, name func(uint64) string) string {
	in, err := x86asm.Decode(b, 64)
	if err != nil {
		return ""
	}
	return x86asm.GoSyntax(in, addr, func(a uint64) (string, uint64) {
		if n := name(a); n != "" {
			return n, a
		}
		return "", 0
	})
}

func decodeAMD64(b []byte, addr uint64) (insn, error) {
	// x86asm expects operands of VZEROUPPER and VZEROALL.
	if len(b) >= 3 && b[0] == 0xc5 && (b[1] == 0xf8 || b[1] == 0xfc) && b[2] == 0x77 {
		return insn{addr: addr, size: 3}, nil
	}
	x, err := x86asm.Decode(b[:min(len(b), 15)], 64)
	if err != nil {
		return insn{}, fmt.Errorf("% x: %w", b[:min(len(b), 8)], err)
	}
	if x.Op == 0 || x.Len <= 0 || x.Len > len(b) { // x86asm returns a prefix with nothing after it as an instruction
		return insn{}, fmt.Errorf("% x: %w", b[:min(len(b), 8)], x86asm.ErrTruncated)
	}
	in := insn{addr: addr, size: x.Len, cost: costAMD64(b[:x.Len]), refused: refusedAMD64(x)}
	if flowAMD64(&in, x, b) {
		effectsAMD64(&in, x)
	}
	return in, nil
}

// costAMD64 tells what every kernel from 5.10 on emulates. It leaves out what only some do (NOPs of several bytes) and
// branches with prefixes, which Go does not emit:
// https://github.com/torvalds/linux/blob/v6.12/arch/x86/kernel/uprobes.c#L1290
func costAMD64(b []byte) Cost {
	push := func(op byte) bool { return op >= 0x50 && op <= 0x57 }
	switch op := b[0]; {
	case push(op), op == 0x90,
		op == 0xe8, op == 0xe9, op == 0xeb,
		op >= 0x70 && op <= 0x7f,
		op == 0x0f && len(b) > 1 && b[1] >= 0x80 && b[1] <= 0x8f,
		op == 0x41 && len(b) == 2 && push(b[1]):
		return Emulated
	}
	return Stepped
}

// refusedAMD64 tells which instructions take no uprobe: those with a LOCK or segment prefix other than FS and GS, and
// those that trap by themselves or work on ports:
// https://github.com/torvalds/linux/blob/v6.12/arch/x86/kernel/uprobes.c#L230
func refusedAMD64(x x86asm.Inst) bool {
	for _, p := range x.Prefix {
		if p.IsEVEX() {
			return true
		}
		switch p &^ (x86asm.PrefixImplicit | x86asm.PrefixIgnored | x86asm.PrefixInvalid) {
		case x86asm.PrefixLOCK, x86asm.PrefixCS, x86asm.PrefixDS, x86asm.PrefixES, x86asm.PrefixSS:
			return true
		}
	}
	switch x.Op {
	case x86asm.INT, x86asm.UD0, x86asm.UD1, x86asm.UD2, x86asm.HLT, x86asm.IN, x86asm.OUT,
		x86asm.SYSCALL, x86asm.SYSENTER, x86asm.IRET, x86asm.IRETD, x86asm.IRETQ:
		return true
	}
	return false
}

// flowAMD64 fills in where control goes and reports whether x has other effects too.
func flowAMD64(in *insn, x x86asm.Inst, b []byte) (effects bool) {
	rel, direct := x.Args[0].(x86asm.Rel)
	if direct {
		in.target = in.end() + uint64(int64(rel))
	}
	switch x.Op {
	case x86asm.CALL:
		in.flow = flowCallReg
		if direct {
			in.flow = flowCall
		}
	case x86asm.JMP:
		in.flow = flowJumpReg
		if direct {
			in.flow = flowJump
		}
	case x86asm.RET, x86asm.LRET, x86asm.IRET, x86asm.IRETD, x86asm.IRETQ, x86asm.SYSRET:
		in.flow = flowRet
	case x86asm.INT, x86asm.ICEBP, x86asm.UD0, x86asm.UD1, x86asm.UD2, x86asm.HLT:
		in.flow = flowTrap
	case x86asm.JCXZ, x86asm.JECXZ, x86asm.JRCXZ:
		in.flow = flowBranch
	case x86asm.LOOP, x86asm.LOOPE, x86asm.LOOPNE:
		in.flow = flowBranch
		in.clobbers = 1 << amd64CX
	default:
		if !direct {
			return true
		}
		in.flow = flowBranch
		switch {
		case b[0] >= 0x70 && b[0] <= 0x7f:
			in.flags, in.cc = true, b[0]&0xf
		case b[0] == 0x0f && b[1] >= 0x80 && b[1] <= 0x8f:
			in.flags, in.cc = true, b[1]&0xf
		}
	}
	return false
}

// effectsAMD64 fills in what x does to registers and the stack.
func effectsAMD64(in *insn, x x86asm.Inst) {
	if r, size := registerAMD64(x.Args[0]); x.Op == x86asm.TEST && size == 8 && x.Args[0] == x.Args[1] {
		in.zeroTest, in.tested = true, r
	}
	switch x.Op {
	case x86asm.NOP, x86asm.PAUSE, x86asm.CMP, x86asm.TEST, x86asm.BT,
		x86asm.PREFETCHT0, x86asm.PREFETCHT1, x86asm.PREFETCHT2, x86asm.PREFETCHNTA, x86asm.PREFETCHW,
		x86asm.MFENCE, x86asm.LFENCE, x86asm.SFENCE:
		return
	case x86asm.PUSH:
		in.sp = -8
		in.moves = []move{{dst: place{inStack, 0, -8}, src: sourceAMD64(x.Args[0]), size: 8}}
		return
	case x86asm.POP:
		in.sp = 8
		if r, size := registerAMD64(x.Args[0]); size == 8 && r != amd64SP {
			in.moves = []move{{dst: place{inRegister, r, 0}, src: place{inStack, 0, 0}, size: 8}}
			return
		}
	case x86asm.MOV, x86asm.MOVZX:
		if moveAMD64(in, x) {
			return
		}
	case x86asm.XOR:
		if r, size := registerAMD64(x.Args[0]); size >= 4 && x.Args[0] == x.Args[1] && r != amd64SP {
			in.moves = []move{{dst: place{inRegister, r, 0}, src: place{constant, 0, 0}, size: 8}}
			return
		}
	case x86asm.ADD, x86asm.SUB, x86asm.LEA:
		if adjustAMD64(in, x) {
			return
		}
	}
	writesAMD64(in, x)
}

// moveAMD64 notes a move between two places that the trace follows.
func moveAMD64(in *insn, x x86asm.Inst) bool {
	dst, src := sourceAMD64(x.Args[0]), sourceAMD64(x.Args[1])
	size := sizeAMD64(x.Args[1], x)
	_, wide := registerAMD64(x.Args[0])
	switch {
	case dst.kind == inRegister && (wide < 4 || dst.reg == amd64SP):
		return false // merges with the old value, or moves the stack
	case src.kind == inRegister && src.reg == amd64SP:
		return false
	case src.kind == constant && dst.kind == inRegister:
		if wide == 4 {
			src.off = int64(uint32(src.off))
		}
		size = 8
	case src.kind == constant && dst.kind == inStack:
		size = uint8(x.MemBytes)
	case dst.kind == unknown || src.kind == unknown && dst.kind != inStack:
		return false
	}
	if dst.kind == inStack {
		size = uint8(x.MemBytes)
	}
	in.moves = []move{{dst: dst, src: src, size: size}}
	return true
}

// adjustAMD64 notes what moves SP by a constant or takes an address on the stack.
func adjustAMD64(in *insn, x x86asm.Inst) bool {
	r, size := registerAMD64(x.Args[0])
	if size != 8 {
		return false
	}
	if m, ok := x.Args[1].(x86asm.Mem); ok && x.Op == x86asm.LEA {
		if m.Base != x86asm.RSP {
			return false
		}
		if r == amd64SP && m.Index == 0 {
			in.sp = m.Disp
			return true
		}
		// The frame pointer is only followed by unwinders; what is below SP is the stack check's arithmetic.
		if r != amd64BP && m.Disp >= 0 {
			in.exposes, in.exposed = true, m.Disp
		}
		return false
	}
	n, ok := x.Args[1].(x86asm.Imm)
	if !ok || r != amd64SP {
		return false
	}
	in.sp = int64(n)
	if x.Op == x86asm.SUB {
		in.sp = -in.sp
	}
	return true
}

// implicitAMD64 are the instructions that write registers beside their first operand.
var implicitAMD64 = []x86asm.Op{
	x86asm.CMPXCHG8B, x86asm.CMPXCHG16B, x86asm.CPUID, x86asm.RDTSC, x86asm.RDTSCP, x86asm.RDPMC, x86asm.XGETBV,
	x86asm.RDMSR, x86asm.SYSCALL, x86asm.SYSENTER, x86asm.LAHF, x86asm.ENTER, x86asm.LEAVE, x86asm.XLATB,
	x86asm.PCMPESTRI, x86asm.PCMPISTRI, x86asm.LODSB, x86asm.LODSW, x86asm.LODSD, x86asm.LODSQ,
	x86asm.STOSB, x86asm.STOSW, x86asm.STOSD, x86asm.STOSQ, x86asm.MOVSB, x86asm.MOVSW, x86asm.MOVSQ,
	x86asm.SCASB, x86asm.SCASW, x86asm.SCASD, x86asm.SCASQ, x86asm.CMPSB, x86asm.CMPSW, x86asm.CMPSQ,
	x86asm.INSB, x86asm.INSW, x86asm.INSD, x86asm.XABORT, x86asm.XBEGIN,
}

// writesAMD64 notes registers and memory that x overwrites with something unknown. It errs on the side of too much.
func writesAMD64(in *insn, x x86asm.Inst) {
	switch {
	case slices.Contains(implicitAMD64, x.Op):
		in.clobbers, in.pointers = amd64All&^(1<<amd64SP), true
		in.spLost = x.Op == x86asm.ENTER || x.Op == x86asm.LEAVE
		return
	case x.Op == x86asm.MUL, x.Op == x86asm.DIV, x.Op == x86asm.IDIV, x.Op == x86asm.IMUL,
		x.Op == x86asm.CBW, x.Op == x86asm.CWDE, x.Op == x86asm.CDQE,
		x.Op == x86asm.CWD, x.Op == x86asm.CDQ, x.Op == x86asm.CQO, x.Op == x86asm.CMPXCHG:
		in.clobbers = 1<<amd64AX | 1<<amd64DX
	case x.Op == x86asm.PUSHF, x.Op == x86asm.PUSHFD, x.Op == x86asm.PUSHFQ:
		in.sp = -8
	case x.Op == x86asm.POPF, x.Op == x86asm.POPFD, x.Op == x86asm.POPFQ:
		in.sp = 8
	}
	// XCHG, XADD and MULX write two registers; for all others the second is too careful, and rarely matters.
	for k, arg := range x.Args[:2] {
		if k == 1 && x.Op != x86asm.XCHG && x.Op != x86asm.XADD && x.Op != x86asm.MULX {
			break
		}
		clobberAMD64(in, arg, x)
	}
	if x.Op == x86asm.MOV && sourceAMD64(x.Args[1]) == (place{inRegister, amd64SP, 0}) &&
		sourceAMD64(x.Args[0]) != (place{inRegister, amd64BP, 0}) {
		in.exposes = true
	}
}

func clobberAMD64(in *insn, arg x86asm.Arg, x x86asm.Inst) {
	if r, size := registerAMD64(arg); size > 0 {
		in.clobbers |= 1 << r
		in.spLost = in.spLost || r == amd64SP
		return
	}
	m, ok := arg.(x86asm.Mem)
	switch {
	case !ok:
	case m.Base == x86asm.RSP && m.Index == 0 && m.Segment == 0:
		size := uint8(min(max(x.MemBytes, 1), 64))
		if x.MemBytes == 0 {
			size = 64
		}
		in.moves = append(in.moves, move{dst: place{inStack, 0, m.Disp}, size: size})
	default:
		in.pointers = true
	}
}

// sourceAMD64 returns the place that arg names, unknown if the trace does not follow it.
func sourceAMD64(arg x86asm.Arg) place {
	switch a := arg.(type) {
	case x86asm.Reg:
		if r, size := registerAMD64(a); size > 0 && (a < x86asm.AH || a > x86asm.BH) {
			return place{inRegister, r, 0}
		}
	case x86asm.Mem:
		if a.Base == x86asm.RSP && a.Index == 0 && a.Segment == 0 {
			return place{inStack, 0, a.Disp}
		}
	case x86asm.Imm:
		return place{constant, 0, int64(a)}
	}
	return place{}
}

// sizeAMD64 is the width of an operand in bytes.
func sizeAMD64(arg x86asm.Arg, x x86asm.Inst) uint8 {
	if _, size := registerAMD64(arg); size > 0 {
		return size
	}
	return uint8(x.MemBytes)
}

// registerAMD64 returns the hardware number and the width in bytes of a general register, width 0 for other operands.
func registerAMD64(arg x86asm.Arg) (number, size uint8) {
	r, ok := arg.(x86asm.Reg)
	switch {
	case !ok:
		return 0, 0
	case r >= x86asm.AH && r <= x86asm.BH:
		return uint8(r - x86asm.AH), 1
	case r >= x86asm.AL && r <= x86asm.BL:
		return uint8(r - x86asm.AL), 1
	case r >= x86asm.SPB && r <= x86asm.R15B:
		return uint8(r-x86asm.SPB) + amd64SP, 1
	case r >= x86asm.AX && r <= x86asm.R15W:
		return uint8(r - x86asm.AX), 2
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return uint8(r - x86asm.EAX), 4
	case r >= x86asm.RAX && r <= x86asm.R15:
		return uint8(r - x86asm.RAX), 8
	}
	return 0, 0
}
