package process

// access is what a load or store does: how it forms the address, and the general registers it moves.
type access struct {
	base  uint8
	off   int64 // of the address from base
	after int64 // added to base, before or after the access
	regs  []uint8
	size  uint8 // bytes for each register, or in all if there are none
	load  bool
	exact bool // a load extends with zeros
}

// memoryARM64 covers loads and stores.
func memoryARM64(in *insn, w word) {
	vector := w.bit(26)
	switch {
	case w&0x3b000000 == 0x18000000: // LDR (literal), which newer kernels refuse
		in.refused = true
		if !vector {
			in.clobber(w.rd())
		}
	case w&0x3a000000 == 0x28000000:
		in.access(pairARM64(w, vector))
	case w&0x3b000000 == 0x39000000:
		a := singleARM64(w, vector)
		a.off = int64(w.bits(10, 12)) * int64(a.size)
		in.access(a)
	case w&0x3b200000 == 0x38000000:
		a := singleARM64(w, vector)
		a.off, a.after = indexedARM64(w.signed(12, 9), w.bits(10, 2))
		in.access(a)
	case w&0x3b200c00 == 0x38200800 && w.rn() != arm64SP:
		in.access(singleARM64(w, vector))
	default:
		otherMemoryARM64(in, w)
	}
}

// indexedARM64 splits the immediate of the addressing modes 0 and 2 (offset), 1 (after the access), 3 (before it).
func indexedARM64(imm int64, mode uint32) (off, after int64) {
	switch mode {
	case 1:
		return 0, imm
	case 3:
		return imm, imm
	}
	return imm, 0
}

// pairARM64 covers LDP and STP.
func pairARM64(w word, vector bool) access {
	opc := w.bits(30, 2)
	a := access{base: w.rn(), load: w.bit(22), exact: opc != 1}
	if vector {
		a.size = 8 << opc // both registers
	} else {
		a.regs = []uint8{w.rd(), uint8(w.bits(10, 5))}
		a.size = 4
		if opc >= 2 {
			a.size = 8
		}
	}
	width := int64(4)
	if vector {
		width = 4 << opc
	} else if opc >= 2 {
		width = 8
	}
	a.off, a.after = indexedARM64(w.signed(15, 7)*width, w.bits(23, 2))
	return a
}

// singleARM64 covers LDR and STR but for the address's offset.
func singleARM64(w word, vector bool) access {
	size, opc := w.bits(30, 2), w.bits(22, 2)
	a := access{base: w.rn(), size: 1 << size, load: opc != 0, exact: opc == 1}
	if vector {
		a.load = opc&1 == 1
		if size == 0 && opc >= 2 {
			a.size = 16
		}
		return a
	}
	if prefetch := size == 3 && opc == 2; !prefetch {
		a.regs = []uint8{w.rd()}
	}
	return a
}

// access notes the effects of a.
func (in *insn) access(a access) {
	stack := a.base == arm64SP
	if !stack && a.after != 0 {
		in.clobber(a.base)
	}
	if stack {
		in.sp = a.after
	}
	if !stack && !a.load {
		in.pointers = true
		return
	}
	if !a.load && len(a.regs) == 0 {
		in.moves = []move{{dst: place{inStack, 0, a.off}, size: a.size}}
	}
	for k, r := range a.regs {
		at := place{inStack, 0, a.off + int64(k)*int64(a.size)}
		from := place{inRegister, r, 0}
		if r == 31 {
			from = place{kind: constant}
		}
		switch {
		case !a.load:
			in.moves = append(in.moves, move{dst: at, src: from, size: a.size})
		case stack && a.exact && r != 31:
			in.moves = append(in.moves, move{dst: from, src: at, size: a.size})
		default:
			in.clobber(r)
		}
	}
}

// otherMemoryARM64 covers exclusives, atomics, vector structures and whatever is new. It errs on the side of too much.
func otherMemoryARM64(in *insn, w word) {
	if w&0x3f800000 == 0x08000000 { // LDXR, STXR and the like
		in.flow, in.refused = flowMonitor, true
	}
	in.clobber(w.rd())
	in.clobber(w.rm())
	in.clobber(uint8(w.bits(10, 5)))
	in.pointers = true
	if w.rn() != arm64SP {
		in.clobber(w.rn())
		return
	}
	in.moves = []move{{dst: place{inStack, 0, 0}, size: 128}}
	in.spLost = w.bit(23) && w.bit(26) // a vector structure with an index
}
