package process

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"
)

// maxListing bounds the bytes of one function that are decoded, and with them the time and memory that a hostile file
// costs: about 100 bytes of memory for each. Functions that anybody probes have some ten kilobytes; larger than this are
// only generated tables and package initialisers.
const maxListing = 128 << 10

// Code is one function's machine code, as the analysis of probe points needs it.
type Code struct {
	Arch  string // "amd64" or "arm64"
	Addr  uint64 // virtual address of Bytes[0], the function's entry
	Bytes []byte // to the start of the next function; padding at the end is ignored

	// NameAt names the function that starts at addr, "" if none does. It names the targets of calls and may be nil.
	NameAt func(addr uint64) string
}

// Call is a direct call: CALL rel32 on amd64, BL on arm64.
type Call struct {
	Addr   uint64 // of the call instruction
	Return uint64 // where it comes back to
	Target uint64
	Name   string // of the function that starts at Target, "" if unknown
}

// Calls returns the direct calls in the function in order of address. Code that cannot be decoded ends the list.
func (c Code) Calls() []Call {
	l, err := c.list()
	if err != nil {
		return nil
	}
	var calls []Call
	for _, in := range l.insns {
		if in.flow == flowCall {
			calls = append(calls, Call{Addr: in.addr, Return: in.end(), Target: in.target, Name: c.nameAt(in.target)})
		}
	}
	return calls
}

func (c Code) nameAt(addr uint64) string {
	if c.NameAt == nil {
		return ""
	}
	return c.NameAt(addr)
}

// flow says where control goes after an instruction.
type flow uint8

const (
	flowNext    flow = iota // to the next instruction
	flowBranch              // to target or to the next instruction
	flowJump                // to target
	flowCall                // to target, then to the next instruction
	flowCallReg             // somewhere, then to the next instruction
	flowJumpReg             // somewhere: a jump table or a tail call
	flowRet                 // to the caller
	flowTrap                // nowhere
	flowMonitor             // arm64: begins or ends an exclusive access, which a trap within breaks
)

// insn is what the analysis needs to know of one instruction, for both architectures.
type insn struct {
	addr    uint64
	size    int
	flow    flow
	cost    Cost
	refused bool   // the kernel does not take a uprobe here
	target  uint64 // of a direct branch, jump or call
	flags   bool   // a branch that depends on the flags alone, by cc
	cc      uint8

	zeroTest   bool  // sets the flags by whether register tested is zero
	zeroBranch bool  // arm64: branches by that, without flags
	whenZero   When  // the way that it goes then
	tested     uint8 // machine number

	// Effects. Offsets are from SP as it is before the instruction.
	moves    []move
	clobbers uint32 // set of machine registers that get a value not tracked
	pointers bool   // stores through a register other than SP
	sp       int64  // what is added to SP
	spLost   bool   // SP changes by an unknown amount
	sum      *sum   // arm64: an addition that SP may be computed with
	exposes  bool   // takes the address of the stack at exposed or above
	exposed  int64
}

// sum is dst = base + off, or dst = base ± index.
type sum struct {
	dst, base uint8
	off       int64
	indexed   bool
	index     uint8
	sign      int64
}

func (in *insn) end() uint64 { return in.addr + uint64(in.size) }

// fallsThrough reports whether control can go from in to the instruction that follows it.
func (in *insn) fallsThrough() bool {
	switch in.flow {
	case flowJump, flowJumpReg, flowRet, flowTrap:
		return false
	}
	return true
}

// writes returns the set of machine registers that in may change.
func (in *insn) writes() uint32 {
	set := in.clobbers
	for _, m := range in.moves {
		if m.dst.kind == inRegister {
			set |= 1 << m.dst.reg
		}
	}
	return set
}

// arch is what differs between the architectures.
type arch struct {
	decode  func(b []byte, addr uint64) (insn, error)
	text    func(b []byte, addr uint64, name func(uint64) string) string
	results []uint8 // machine register of each ABIInternal integer register
	args    uint32  // set of machine registers that hold something at entry: arguments and closure context
	padding byte    // fills the space between functions

	linkRegister bool // a call leaves the return address in a register; functions store it at the bottom of their frame
}

func (c Code) arch() (*arch, error) {
	switch c.Arch {
	case "amd64":
		return &amd64, nil
	case "arm64":
		return &arm64, nil
	}
	return nil, fmt.Errorf("decode function at %#x: architecture %q is not supported (amd64 and arm64 are)", c.Addr, c.Arch)
}

// listing is a decoded function.
type listing struct {
	Code
	arch    *arch
	insns   []insn
	err     error   // why decoding ended before the end of the function, nil if it did not
	jumps   []jump  // branches and jumps to addresses within the function, sorted by target
	check   int     // the branch that ends the stack check, -1 if there is none
	grow    uint64  // the block where that branch goes to call morestack
	tables  bool    // there is an indirect jump, so that jumps may be incomplete
	delta   []int64 // for each instruction SP minus SP at entry, unknownDelta where that is not constant
	exposed int64   // stack from here up, relative to SP at entry, may be reached through pointers
}

// jump is a branch or jump by instruction from.
type jump struct {
	target uint64
	from   int
}

const (
	unknownDelta = int64(-1) << 62
	nothing      = int64(1) << 62 // no part of the stack is exposed
)

var errNoCode = errors.New("no code")

// list decodes the function as far as it can be decoded. It fails only if that is not even one instruction.
func (c Code) list() (*listing, error) {
	a, err := c.arch()
	if err != nil {
		return nil, err
	}
	l := &listing{Code: c, arch: a}
	b := c.Bytes
	if len(b) > maxListing {
		b = b[:maxListing]
		l.err = fmt.Errorf("decode function at %#x: it has more than %d bytes", c.Addr, maxListing)
	}
	end := len(b)
	for end > 0 && b[end-1] == a.padding {
		end--
	}
	l.insns = make([]insn, 0, end/3+1) // Go's have four bytes and more on average
	for pos := 0; pos < end; {
		in, err := a.decode(b[pos:], c.Addr+uint64(pos))
		if err != nil {
			l.err = fmt.Errorf("decode function at %#x: at offset %#x: %w", c.Addr, pos, err)
			break
		}
		l.insns = append(l.insns, in)
		pos += in.size
	}
	if len(l.insns) == 0 {
		if l.err == nil {
			l.err = fmt.Errorf("decode function at %#x: %w", c.Addr, errNoCode)
		}
		return nil, l.err
	}
	l.findStackCheck()
	l.findJumps()
	l.findDeltas()
	return l, nil
}

// at returns the index of the instruction that starts at addr.
func (l *listing) at(addr uint64) (int, bool) {
	i := sort.Search(len(l.insns), func(i int) bool { return l.insns[i].addr >= addr })
	return i, i < len(l.insns) && l.insns[i].addr == addr
}

func (l *listing) findJumps() {
	for i, in := range l.insns {
		switch in.flow {
		case flowJumpReg:
			l.tables = true
		case flowBranch, flowJump:
			if in.target-l.Addr < uint64(len(l.Bytes)) {
				l.jumps = append(l.jumps, jump{in.target, i})
			}
		}
	}
	slices.SortStableFunc(l.jumps, func(a, b jump) int { return cmp.Compare(a.target, b.target) })
}

// jumpsTo returns the jumps to addr in the order of their addresses.
func (l *listing) jumpsTo(addr uint64) []jump {
	i := sort.Search(len(l.jumps), func(i int) bool { return l.jumps[i].target >= addr })
	n := sort.Search(len(l.jumps), func(i int) bool { return l.jumps[i].target > addr })
	return l.jumps[i:n]
}

// targeted reports whether a branch goes to an address from low on and before high.
func (l *listing) targeted(low, high uint64) bool {
	i := sort.Search(len(l.jumps), func(i int) bool { return l.jumps[i].target >= low })
	return i < len(l.jumps) && l.jumps[i].target < high
}

// fallsThrough reports whether control can go from instruction i to the next. It never does so into the morestack
// block: what stands before that block is a call that does not return.
func (l *listing) fallsThrough(i int) bool {
	return i+1 < len(l.insns) && l.insns[i].fallsThrough() && (l.check < 0 || l.insns[i].end() != l.grow)
}

// findDeltas follows SP along the control flow. Blocks that nothing seen leads to (cases of a jump table, the block
// where a recovered panic goes on) have the frame of the function's body, as Go's compiler moves SP only in
// prologues and epilogues.
func (l *listing) findDeltas() {
	l.delta = make([]int64, len(l.insns))
	seen := make([]bool, len(l.insns))
	frame := l.followSP(0, 0, seen)
	for i := range l.insns {
		if !seen[i] {
			l.followSP(i, frame, seen)
		}
	}
	l.exposed = nothing
	for i, in := range l.insns {
		if in.exposes && l.delta[i] != unknownDelta {
			l.exposed = min(l.exposed, l.delta[i]+in.exposed)
		} else if in.exposes {
			l.exposed = unknownDelta
		}
	}
}

// followSP gives every instruction that instruction i leads to its delta and returns the lowest.
func (l *listing) followSP(i int, delta int64, seen []bool) (lowest int64) {
	type entry struct {
		i     int
		delta int64
	}
	for todo := []entry{{i, delta}}; len(todo) > 0; {
		e := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[e.i] && (l.delta[e.i] == e.delta || l.delta[e.i] == unknownDelta) {
			continue
		}
		if seen[e.i] {
			e.delta = unknownDelta // paths disagree
		}
		seen[e.i], l.delta[e.i] = true, e.delta
		in := &l.insns[e.i]
		next := e.delta
		if next != unknownDelta {
			lowest = min(lowest, next)
			next += in.sp
		}
		if in.spLost {
			next = l.newDelta(e.i)
		}
		if in.flow == flowBranch || in.flow == flowJump {
			if t, ok := l.at(in.target); ok {
				todo = append(todo, entry{t, next})
			}
		}
		if l.fallsThrough(e.i) {
			todo = append(todo, entry{e.i + 1, next})
		}
	}
	return lowest
}

// newDelta returns the delta after instruction i, which sets SP from another register. On arm64 that is how big frames
// are opened and closed: https://github.com/golang/go/blob/go1.26.0/src/cmd/internal/obj/arm64/obj7.go#L700
func (l *listing) newDelta(i int) int64 {
	s := l.insns[i].sum
	if s == nil || l.delta[i] == unknownDelta {
		return unknownDelta
	}
	if off, ok := l.sumOf(s, i); ok {
		return l.delta[i] + off
	}
	return unknownDelta
}

// sumOf returns the result of s, which instruction i computes, relative to SP.
func (l *listing) sumOf(s *sum, i int) (int64, bool) {
	off := s.off
	if s.indexed {
		w := l.writer(s.index, i)
		if w < 0 || len(l.insns[w].moves) != 1 || l.insns[w].moves[0].src.kind != constant {
			return 0, false
		}
		off += s.sign * l.insns[w].moves[0].src.off
	}
	if s.base == arm64SP {
		return off, true
	}
	w := l.writer(s.base, i)
	if w < 0 || l.insns[w].sum == nil {
		return 0, false
	}
	base, ok := l.sumOf(l.insns[w].sum, w)
	return base + off, ok
}

// writer returns the instruction that gave register r its value at instruction i, -1 if that is not plain to see.
func (l *listing) writer(r uint8, i int) int {
	const far = 8
	for w := i - 1; w >= 0 && w >= i-far; w-- {
		in := &l.insns[w]
		if in.flow != flowNext || in.sp != 0 || in.spLost || l.targeted(in.end(), in.end()+1) {
			return -1
		}
		if in.writes()&(1<<r) != 0 {
			return w
		}
	}
	return -1
}
