package process

// A trace follows words through straight-line code: it knows for registers and stack slots which place their value came
// from, relative to where the trace began.
type trace struct {
	*listing
	regs  [32]value
	slots []slot // written since the start, latest last
	lost  int64  // stack from here up, relative to SP at function entry, may have changed in an unknown way
}

// place is a register, a stack slot or a constant.
type place struct {
	kind placeKind
	reg  uint8 // machine number
	off  int64 // of a slot: from SP in a move, from SP at function entry in a value; of a constant: the constant
}

type placeKind uint8

const (
	unknown placeKind = iota
	inRegister
	inStack
	constant
)

// value is what was at a place when the trace began: its low size bytes, the rest zero.
type value struct {
	place
	size uint8
}

// move copies size bytes from src to dst. A register's upper bytes become zero.
type move struct {
	dst, src place
	size     uint8
}

type slot struct {
	off  int64 // from SP at function entry
	size uint8 // in bytes
	value
}

func (l *listing) newTrace() *trace {
	t := &trace{listing: l, lost: nothing}
	for r := range t.regs {
		t.regs[r] = value{place{inRegister, uint8(r), 0}, 8}
	}
	return t
}

// step carries out instruction i.
func (t *trace) step(i int) {
	in, delta := &t.insns[i], t.delta[i]
	if in.flow == flowCall || in.flow == flowCallReg {
		t.forget()
		return
	}
	if delta == unknownDelta {
		t.forget() // only hand-written assembly gets here
		return
	}
	values := make([]value, len(in.moves))
	for k, m := range in.moves {
		values[k] = t.read(m, delta)
	}
	for r := range t.regs {
		if in.clobbers&(1<<r) != 0 {
			t.regs[r] = value{}
		}
	}
	for k, m := range in.moves {
		switch m.dst.kind {
		case inRegister:
			t.regs[m.dst.reg] = values[k]
		case inStack:
			t.slots = append(t.slots, slot{off: m.dst.off + delta, size: m.size, value: values[k]})
		}
	}
	if in.pointers {
		t.lose(t.exposed)
	}
}

// forget is a call: nothing that was in a register or in the frame is certain to be there after it.
func (t *trace) forget() {
	t.regs = [32]value{}
	t.lose(unknownDelta)
}

// lose marks the stack from low up as changed.
func (t *trace) lose(low int64) {
	t.lost = min(t.lost, low)
	for k := range t.slots {
		if s := &t.slots[k]; s.off+int64(s.size) > low {
			s.value = value{}
		}
	}
}

// read returns the value that m copies.
func (t *trace) read(m move, delta int64) value {
	var v value
	switch m.src.kind {
	case constant:
		v = value{m.src, 8}
	case inRegister:
		v = t.regs[m.src.reg]
	case inStack:
		v = t.load(m.src.off+delta, m.size)
	}
	switch {
	case v.kind == unknown:
		return value{}
	case v.kind == constant && m.size < 8:
		v.off &= 1<<(8*m.size) - 1
	case v.kind != constant:
		v.size = min(v.size, m.size)
	}
	return v
}

// load returns the value of the size bytes of stack at off from SP at function entry.
func (t *trace) load(off int64, size uint8) value {
	end := off + int64(size)
	for k := len(t.slots) - 1; k >= 0; k-- {
		s := t.slots[k]
		if s.off == off && s.size == size {
			return s.value
		}
		if s.off < end && off < s.off+int64(s.size) {
			return value{}
		}
	}
	if end > t.lost {
		return value{}
	}
	return value{place{inStack, 0, off}, size}
}

// findResults returns where, at an instruction with this delta, the result words are that were in their ABI registers
// when the trace began.
func (t *trace) findResults(n int, delta int64) []Location {
	var found []Location
	for _, home := range t.arch.results[:n] {
		found = append(found, t.find(value{place{inRegister, home, 0}, 8}, delta))
	}
	return found
}

// find returns a place that holds v: its own register, else any register, else a stack slot.
func (t *trace) find(v value, delta int64) Location {
	if t.regs[v.reg] == v {
		return t.location(v, delta)
	}
	for r, held := range t.regs {
		if held == v {
			return t.location(value{place{inRegister, uint8(r), 0}, 8}, delta)
		}
	}
	for _, s := range t.slots {
		if s.value == v && t.load(s.off, s.size) == v {
			return t.location(value{place{inStack, 0, s.off}, 8}, delta)
		}
	}
	return Location{}
}

// givenResults returns where, at the start of the trace at an instruction with this delta, the words are that are in
// the result registers now.
func (t *trace) givenResults(n int, delta int64) []Location {
	var given []Location
	for _, home := range t.arch.results[:n] {
		given = append(given, t.location(t.regs[home], delta))
	}
	return given
}

// location states a value's place as of an instruction with this delta.
func (t *trace) location(v value, delta int64) Location {
	switch v.kind {
	case inRegister:
		return Location{Known: true, Reg: t.abiRegister(v.reg), Machine: v.reg, Size: v.size}
	case inStack:
		return Location{Known: true, Stack: true, Off: v.off - delta, Size: v.size}
	case constant:
		return Location{Const: true, Value: v.off, Size: v.size}
	}
	return Location{}
}

func (t *trace) abiRegister(machine uint8) uint8 {
	for i, r := range t.arch.results {
		if r == machine {
			return uint8(i)
		}
	}
	return NoReg
}
