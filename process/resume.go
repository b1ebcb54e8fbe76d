package process

import "fmt"

// Followup is what a program may have the code do at a point that Resume found.
type Followup uint8

const (
	// Others: call other functions, then go on at Point.Return with the results in their ABI registers, as if nothing had been.
	Others Followup = iota
	// Again: call the same function again, and go on with the last call's results.
	Again
)

// Resume returns the point where the first call of the function named callee has come back, such that it may be followed up by more
// calls: what runs from Point.Return up to the point may run once for each of them. It computes registers, and for Again
// puts some onto the stack, and does nothing else. Results says where the call's first result words are; for Others they are
// in their ABI registers still.
//
// The point is the first emulated instruction for which that is provable, else the instruction behind the call. Resume fails
// if there is no such call, or if other code jumps behind it.
func (c Code) Resume(callee string, results int, followup Followup) (Point, error) {
	l, err := c.list()
	if err != nil {
		return Point{}, err
	}
	if results < 0 || results > len(l.arch.results) {
		return Point{}, fmt.Errorf("find return of %s: %d results do not fit in registers", callee, results)
	}
	for i, in := range l.insns {
		if in.flow != flowCall || l.nameAt(in.target) != callee {
			continue
		}
		if !l.fallsThrough(i) || l.targeted(in.end(), in.end()+1) {
			return Point{}, fmt.Errorf("find return of %s: other code jumps behind the call at %#x", callee, in.addr)
		}
		p, ok := l.resume(i+1, results, followup)
		if !ok {
			return Point{}, fmt.Errorf("find return of %s: the kernel takes no probe at %#x", callee, in.end())
		}
		return p, nil
	}
	if l.err != nil {
		return Point{}, fmt.Errorf("find call of %s: %w", callee, l.err)
	}
	return Point{}, fmt.Errorf("find call of %s in function at %#x: %w", callee, l.Addr, ErrNoCall)
}

// maxRepeat is how many instructions between a call's return and the point may run again.
const maxRepeat = 8

// resume returns the point for a call that comes back to instruction first.
func (l *listing) resume(first, results int, followup Followup) (Point, bool) {
	t := l.newTrace()
	for i := first; i < min(len(l.insns), first+maxRepeat); i++ {
		in := &l.insns[i]
		if i > first && l.targeted(in.addr, in.end()) || followup == Others && !t.atHome(results) {
			break
		}
		if in.cost == Emulated && l.usable(i) {
			p := l.point(i, "where the call has come back")
			p.Return, p.Results = l.insns[first].addr, t.findResults(results, l.delta[i])
			return p, true
		}
		if !repeatable(in, followup == Again) {
			break
		}
		t.step(i)
	}
	if !l.usable(first) {
		return Point{}, false
	}
	p := l.point(first, "instruction behind the call: no emulated one is provably next")
	p.Return, p.Results = p.Addr, l.newTrace().findResults(results, l.delta[first])
	return p, true
}

// atHome reports whether the result words are where they were when the trace began.
func (t *trace) atHome(results int) bool {
	for _, r := range t.arch.results[:results] {
		if t.regs[r] != (value{place{inRegister, r, 0}, 8}) {
			return false
		}
	}
	return true
}

// repeatable reports whether in does nothing but compute registers, or with stores put some onto the stack.
func repeatable(in *insn, stores bool) bool {
	if in.flow != flowNext || in.sp != 0 || in.spLost || in.pointers {
		return false
	}
	for _, m := range in.moves {
		if m.dst.kind == inStack && (!stores || m.src.kind == unknown) {
			return false
		}
	}
	return true
}
