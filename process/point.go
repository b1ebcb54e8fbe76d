package process

import (
	"errors"
	"fmt"
	"slices"
)

// ErrNoCall: a function does not call another one; it may have been inlined there.
var ErrNoCall = errors.New("there is none (it may be inlined)")

// Cost says what the kernel does with the instruction that a uprobe replaces.
type Cost uint8

const (
	// Stepped: a copy of the instruction is single-stepped, a second trap.
	Stepped Cost = iota
	// Emulated: the kernel carries it out itself.
	Emulated
)

// String returns "stepped" or "emulated".
func (c Cost) String() string {
	if c == Emulated {
		return "emulated"
	}
	return "stepped"
}

// MarshalText makes a Cost a word in JSON.
func (c Cost) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (c *Cost) UnmarshalText(text []byte) error {
	for _, known := range []Cost{Stepped, Emulated} {
		if string(text) == known.String() {
			*c = known
			return nil
		}
	}
	return fmt.Errorf("cannot read %q as a cost: it is neither stepped nor emulated", text)
}

// When says which hits of a probe count.
type When uint8

const (
	Always   When = iota
	Taken         // only if the conditional branch at the point's address will be taken
	NotTaken      // only if it will not
)

// String returns "always", "taken" or "not taken".
func (w When) String() string {
	switch w {
	case Taken:
		return "taken"
	case NotTaken:
		return "not taken"
	}
	return "always"
}

// MarshalText makes a When a word in JSON.
func (w When) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// Point is one address for a uprobe and what a program there must know.
type Point struct {
	Addr  uint64
	Bytes []byte // the instruction expected at Addr
	Asm   string // the same in Go's assembler syntax
	Cost  Cost
	When  When
	CC    uint8  // if When is not Always, the branch's condition: x86's (low nibble of the Jcc) or arm64's
	Why   string // why here: a few words for people

	// SPDelta is SP at this point minus SP at function entry, in bytes: 0, or negative once the frame is open.
	SPDelta int64

	// Results says for each result word where it is when the probe fires. Only after-call and return points have them.
	Results []Location

	// Return is the address right behind the call whose return this point is at, 0 at points that neither Resume nor LoopEnd found.
	Return uint64
	// Call is the address of the call that a point of AfterCall or BehindCalls is behind.
	Call uint64
}

// NoReg as Location.Reg says that the word is in a register that is not one of the ABI's integer registers.
const NoReg = 0xff

// Location is where a word is. With Known false it is at no known place.
type Location struct {
	Known bool

	Stack bool  // it is in memory at [SP+Off]
	Off   int64 // in bytes

	// If Stack is false: Reg is the ABIInternal integer register (amd64 AX, BX, CX, DI, SI, R8…R11 are 0…8, arm64
	// R0…R15 are 0…15) or NoReg; Machine is the hardware number (amd64 AX, CX, DX, BX, SP, BP, SI, DI, R8… are
	// 0…15, arm64 0…30).
	Reg     uint8
	Machine uint8

	// Const says that the word will be the constant Value, which is at no place yet. Known is then false.
	Const bool
	Value int64

	// Size is how many bytes of the place make the word, the rest of the word being zero: 8, or 4, 2, 1 if the code
	// widens a smaller value later.
	Size uint8
}

// point describes instruction i.
func (l *listing) point(i int, why string) Point {
	in := &l.insns[i]
	off := in.addr - l.Addr
	b := l.Bytes[off : off+uint64(in.size)]
	return Point{
		Addr:    in.addr,
		Bytes:   append([]byte(nil), b...),
		Asm:     l.arch.text(b, in.addr, l.nameAt),
		Cost:    in.cost,
		SPDelta: l.delta[i],
		Why:     why,
	}
}

// usable reports whether a probe may sit on instruction i: the kernel takes it, SP is known there, and nothing jumps
// into its middle, which would be the middle of an INT3 and what is left of the instruction.
func (l *listing) usable(i int) bool {
	in := &l.insns[i]
	return !in.refused && l.delta[i] != unknownDelta && !l.targeted(in.addr+1, in.end())
}

// Entry returns the point where a call of the function begins: arguments are still in their ABI registers, the closure
// context is in DX (arm64: R26), and the probe counts exactly once per call, also when the stack grows and the function
// starts again. It is the first instruction only if nothing cheaper is provable.
func (c Code) Entry() (Point, error) {
	l, err := c.list()
	if err != nil {
		return Point{}, err
	}
	if l.check >= 0 {
		return l.entryAfter(l.check)
	}
	return l.entryFrameless()
}

// entryAfter returns the entry point of a function whose stack check ends with branch check.
func (l *listing) entryAfter(check int) (Point, error) {
	next := check + 1
	if next < len(l.insns) {
		in := &l.insns[next]
		if in.cost == Emulated && l.usable(next) && !l.targeted(in.addr, in.end()) {
			return l.point(next, "after the stack check"), nil
		}
	}
	if !l.usable(check) {
		return Point{}, fmt.Errorf("find entry point at %#x: no instruction of the stack check can be probed", l.Addr)
	}
	p := l.point(check, "branch of the stack check")
	p.When, p.CC = NotTaken, l.insns[check].cc
	return p, nil
}

// entryFrameless returns the entry point of a function without a stack check: the first emulated instruction if
// control gets there from the entry only, once, with the arguments intact; else the first instruction.
func (l *listing) entryFrameless() (Point, error) {
	why := "first instruction: no emulated one before arguments change"
	for i := range l.insns {
		in := &l.insns[i]
		if l.tables || l.err != nil || l.targeted(l.Addr, in.end()) {
			why = "first instruction: other code jumps before the first emulated one"
			break
		}
		if in.cost == Emulated && l.usable(i) {
			if i == 0 {
				return l.point(i, "first instruction"), nil
			}
			return l.point(i, "first emulated instruction"), nil
		}
		if in.flow != flowNext || in.writes()&l.arch.args != 0 {
			break
		}
	}
	if !l.usable(0) {
		return Point{}, fmt.Errorf("find entry point at %#x: the kernel takes no probe on %s", l.Addr, l.point(0, "").Asm)
	}
	return l.point(0, why), nil
}

// maxStackCheck is how many instructions a stack check has at most; the longest compares twice for a big frame:
// https://github.com/golang/go/blob/go1.26.0/src/cmd/internal/obj/x86/obj6.go#L1060
const maxStackCheck = 12

// findStackCheck finds the last branch of the prologue that goes to a block which calls morestack.
func (l *listing) findStackCheck() {
	l.check = -1
	for i := 0; i < len(l.insns) && i < maxStackCheck; i++ {
		in := &l.insns[i]
		switch {
		case in.flow == flowBranch && in.flags && l.isMorestack(in.target):
			l.check, l.grow = i, in.target
		case in.flow != flowNext || in.sp != 0 || in.spLost || in.writes()&l.arch.args != 0:
			return
		}
	}
}

// maxMorestack is how many instructions a morestack block has at most: a store and a load for each argument register,
// the call and the jump.
const maxMorestack = 96

// isMorestack reports whether the code at addr calls one function and then jumps to the function's entry, as only the
// block after a failed stack check does. It decodes on its own because the code before it may be undecodable.
func (l *listing) isMorestack(addr uint64) bool {
	calls := 0
	for range maxMorestack {
		if addr-l.Addr >= uint64(len(l.Bytes)) {
			return false
		}
		in, err := l.arch.decode(l.Bytes[addr-l.Addr:], addr)
		if err != nil {
			return false
		}
		switch in.flow {
		case flowNext:
		case flowCall:
			calls++
		case flowJump:
			return calls == 1 && in.target == l.Addr
		default:
			return false
		}
		addr = in.end()
	}
	return false
}

// AfterCall returns, for each direct call of the function named callee, the first emulated instruction that always
// runs after it returns, with where the first results integer result words are there. If other code jumps in before
// that instruction, or one of the last needed of them is lost there, the point is the instruction after the call. It fails if there is no such call, or none of the
// two is provable for one of the calls. A jump table that leads into the few instructions after a call goes unseen:
// then the probe also fires where no call came before.
func (c Code) AfterCall(callee string, results, needed int) ([]Point, error) {
	l, err := c.list()
	if err != nil {
		return nil, err
	}
	if needed < 0 || results < needed || results > len(l.arch.results) {
		return nil, fmt.Errorf("find point after call of %s: %d results do not fit in registers", callee, results)
	}
	var points []Point
	for i, in := range l.insns {
		if in.flow != flowCall || l.nameAt(in.target) != callee {
			continue
		}
		p, ok := l.afterCall(i, results, needed)
		if !ok {
			return nil, fmt.Errorf("find point after call of %s at %#x: no instruction is provably next", callee, in.addr)
		}
		p.Call = in.addr
		points = append(points, p)
	}
	if points == nil && l.err != nil {
		return nil, fmt.Errorf("find call of %s: %w", callee, l.err)
	}
	if points == nil {
		return nil, fmt.Errorf("find call of %s in function at %#x: %w", callee, l.Addr, ErrNoCall)
	}
	return points, nil
}

// BehindCalls returns the points at the instructions right behind the direct calls of the function named callee, where its results are still in their
// registers. Other code may come by as well. It fails if there is none.
func (c Code) BehindCalls(callee string, results int) ([]Point, error) {
	l, err := c.list()
	if err != nil {
		return nil, err
	}
	if results > len(l.arch.results) {
		return nil, fmt.Errorf("find point behind call of %s: %d results do not fit in registers", callee, results)
	}
	var points []Point
	for i, in := range l.insns {
		if in.flow != flowCall || l.nameAt(in.target) != callee {
			continue
		}
		if !l.fallsThrough(i) || !l.usable(i+1) {
			return nil, fmt.Errorf("find point behind call of %s: the kernel takes no probe at %#x", callee, in.end())
		}
		p := l.point(i+1, "instruction behind the call")
		p.Call, p.Results = in.addr, l.newTrace().findResults(results, l.delta[i+1])
		points = append(points, p)
	}
	if points == nil {
		return nil, fmt.Errorf("find call of %s in function at %#x: %w", callee, l.Addr, ErrNoCall)
	}
	return points, nil
}

// AtCall returns the first point of AtCalls.
func (c Code) AtCall(callee string) (Point, error) {
	points, err := c.AtCalls(callee)
	if err != nil {
		return Point{}, err
	}
	return points[0], nil
}

// AtCalls returns the points at the direct calls of the function named callee, in the order of the code: its arguments are in
// their registers there. The kernel emulates direct calls. It fails if there is none.
func (c Code) AtCalls(callee string) ([]Point, error) {
	l, err := c.list()
	if err != nil {
		return nil, err
	}
	var points []Point
	for i, in := range l.insns {
		if in.flow != flowCall || l.nameAt(in.target) != callee {
			continue
		}
		if !l.usable(i) {
			return nil, fmt.Errorf("find call of %s: the kernel takes no probe at %#x", callee, in.addr)
		}
		p := l.point(i, "call of "+callee)
		for n, machine := range l.arch.results { // arguments have the same registers
			p.Results = append(p.Results, Location{Known: true, Reg: uint8(n), Machine: machine, Size: 8})
		}
		points = append(points, p)
	}
	if points == nil && l.err != nil {
		return nil, fmt.Errorf("find call of %s: %w", callee, l.err)
	}
	if points == nil {
		return nil, fmt.Errorf("find call of %s in function at %#x: %w", callee, l.Addr, ErrNoCall)
	}
	return points, nil
}

// maxStraight is how many instructions after a call are searched for an emulated one.
const maxStraight = 256

func (l *listing) afterCall(call, results, needed int) (Point, bool) {
	first := call + 1
	if !l.fallsThrough(call) || l.targeted(l.insns[first].addr, l.insns[first].addr+1) {
		return Point{}, false
	}
	t, why := l.newTrace(), "no emulated one is provably next"
	for i := first; i < min(len(l.insns), first+maxStraight); i++ {
		in := &l.insns[i]
		if l.targeted(in.addr, in.addr+1) || in.flow == flowMonitor {
			break
		}
		if (in.cost == Emulated || in.flow == flowRet) && l.usable(i) {
			p := l.point(i, "next emulated instruction after the call")
			if in.flow == flowCall {
				p.Why = "next call after the return"
			}
			if in.flow == flowRet {
				p.Why = "RET after the call"
			}
			p.Results = t.findResults(results, l.delta[i])
			if atHand(p.Results[results-needed:]) {
				return p, true
			}
			why = "a result is lost before the next emulated one"
			break
		}
		if !l.fallsThrough(i) {
			break
		}
		t.step(i)
	}
	if !l.usable(first) {
		return Point{}, false
	}
	p := l.point(first, "instruction after the call: "+why)
	p.Results = l.newTrace().findResults(results, l.delta[first])
	return p, true
}

// atHand says whether the place of each result is known.
func atHand(results []Location) bool {
	return !slices.ContainsFunc(results, func(r Location) bool { return !r.Known && !r.Const })
}
