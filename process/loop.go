package process

import (
	"fmt"
	"strings"
)

// LoopEnd is where a function goes on behind a loop that calls another one, whose only result is an error.
type LoopEnd struct {
	// Over is passed once, when the last call has returned no error. Its Results are where the return address of the function itself
	// lies, and the word behind that, with which the caller's frame begins.
	Over Point
	// Failed is where a call that has returned an error goes on, and nothing else. Return is where the call comes back to.
	Failed Point
}

// LoopEnd returns where the loop that calls the function named callee is over. It is proven that the following may be done at Over, as often as
// is wanted, if the last call is the last that the function has made: to call another function in such a way that it returns to Failed.Return.
// That comes to Failed if its first result is not zero. There the same may be done; or the first two results be made zero, and the code go
// on at Failed.Return, which then comes to Over again as if the last call had just returned:
//
//   - What is between Failed.Return and either point computes registers and does nothing else. What it computes them of is there still: the
//     frame, as nothing is stored there, and the results.
//   - From Failed.Return to Failed nothing is done but the check of the error. So the function that is called may return to anywhere in
//     between: where the error is checked no more, it may come to Over instead.
//   - SP is the same at all three.
//
// LoopEnd fails if that cannot be proven, or if the function calls callee elsewhere too.
func (c Code) LoopEnd(callee string) (LoopEnd, error) {
	l, err := c.list()
	if err != nil {
		return LoopEnd{}, err
	}
	if l.err != nil {
		return LoopEnd{}, fmt.Errorf("find loop that calls %s: %w", callee, l.err)
	}
	call := -1
	for i, in := range l.insns {
		if in.flow != flowCall || l.nameAt(in.target) != callee {
			continue
		}
		if call >= 0 {
			return LoopEnd{}, fmt.Errorf("find loop that calls %s: it is called at %#x too", callee, in.addr)
		}
		call = i
	}
	if call < 0 {
		return LoopEnd{}, fmt.Errorf("find call of %s in function at %#x: %w", callee, l.Addr, ErrNoCall)
	}
	if l.tables {
		return LoopEnd{}, fmt.Errorf("find loop that calls %s: not all jumps of the function are known", callee)
	}
	end, why := l.loopEnd(call)
	if why != "" {
		return LoopEnd{}, fmt.Errorf("find end of the loop that calls %s at %#x: %s", callee, l.insns[call].addr, why)
	}
	return end, nil
}

// loopEnd finds the end of the loop around a call, or says why there is none.
func (l *listing) loopEnd(call int) (LoopEnd, string) {
	first := call + 1
	check, ok := l.plainCheck(first)
	if !ok {
		return LoopEnd{}, "its error is not checked at once"
	}
	failed, ok := l.otherWay(check)
	if !ok {
		return LoopEnd{}, "where an error goes other code goes too"
	}
	over, ok := l.pastLoop(call, check)
	if !ok {
		return LoopEnd{}, "no place is provably passed once when it is over"
	}
	if l.delta[over] != l.delta[first] || l.delta[failed] != l.delta[first] || l.delta[first] == unknownDelta {
		return LoopEnd{}, "the stack pointer changes"
	}
	end := LoopEnd{Over: l.point(over, "where the loop is over"), Failed: l.point(failed, "where an error goes")}
	end.Failed.Return = l.insns[first].addr
	end.Over.Results = l.frame(over)
	return end, ""
}

// plainCheck returns the branch, and its way for no error, if nothing but a check of the first result stands at instruction first, where
// a call has come back.
func (l *listing) plainCheck(first int) (edge, bool) {
	result := l.arch.results[0]
	for i := first; i < min(len(l.insns), first+maxCheck) && l.fallsThrough(i-1); i++ {
		in := &l.insns[i]
		if l.targeted(in.addr, in.end()) {
			break
		}
		if tested, when, ok := l.zeroCheck(i); ok && tested == result {
			return edge{i, when}, true
		}
		if in.flow != flowNext || in.writes() != 0 || len(in.moves) > 0 || in.pointers || in.sp != 0 || in.spLost {
			break
		}
	}
	return edge{}, false
}

// pastLoop follows the way of no error out of the loop and on to the first emulated instruction. Nothing but the loop leads there, and
// it does not come by twice.
func (l *listing) pastLoop(call int, check edge) (int, bool) {
	left := false // the loop
	i := l.follow(check)
	for n := 0; n < maxPastLoop && i >= 0; n++ {
		in := &l.insns[i]
		if left && in.cost == Emulated && l.usable(i) && in.flow != flowCall && in.flow != flowCallReg && in.flow != flowRet {
			return i, !l.reaches(i, i)
		}
		next := -1
		switch in.flow {
		case flowNext:
			if repeatable(in, false) && l.fallsThrough(i) {
				next = i + 1
			}
		case flowJump:
			next = l.follow(edge{i, Taken})
		case flowBranch:
			if out, ok := l.wayOut(i, call); ok && !left {
				next, left = l.follow(out), true
			}
		}
		if next < 0 || left && !l.onlyFrom(i, next) {
			return 0, false
		}
		i = next
	}
	return 0, false
}

// wayOut returns the way of a branch that does not lead to the call, if the other one does.
func (l *listing) wayOut(branch, call int) (edge, bool) {
	taken, not := edge{branch, Taken}, edge{branch, NotTaken}
	if l.leads(taken, call) {
		return not, !l.leads(not, call)
	}
	return taken, l.leads(not, call)
}

// maxPastLoop is how many instructions may be between the check of an error and the place behind the loop.
const maxPastLoop = 48

// follow returns where a way of a branch or a jump leads, -1 if that is not in the function.
func (l *listing) follow(e edge) int {
	if e.when == NotTaken {
		if !l.fallsThrough(e.branch) {
			return -1
		}
		return e.branch + 1
	}
	to, ok := l.at(l.insns[e.branch].target)
	if !ok {
		return -1
	}
	return to
}

// onlyFrom reports whether nothing but instruction from leads to instruction to.
func (l *listing) onlyFrom(from, to int) bool {
	for _, j := range l.jumpsTo(l.insns[to].addr) {
		if j.from != from {
			return false
		}
	}
	return to == 0 || to-1 == from || !l.fallsThrough(to-1)
}

// leads reports whether control can come to instruction to by this way.
func (l *listing) leads(e edge, to int) bool {
	first := l.follow(e)
	return first == to || first >= 0 && l.reaches(first, to)
}

// reaches reports whether control can come from behind instruction from to instruction to.
func (l *listing) reaches(from, to int) bool {
	seen := make([]bool, len(l.insns))
	for todo := []int{from}; len(todo) > 0; {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, next := range l.successors(i) {
			if next == to {
				return true
			}
			if !seen[next] {
				seen[next] = true
				todo = append(todo, next)
			}
		}
	}
	return false
}

// successors are the instructions that control can go to from instruction i, within the function. Calls of the runtime's functions that
// panic do not return: https://github.com/golang/go/blob/go1.26.0/src/runtime/panic.go
func (l *listing) successors(i int) []int {
	var next []int
	if in := &l.insns[i]; in.flow == flowCall && strings.HasPrefix(l.nameAt(in.target), "runtime.panic") {
		return nil
	}
	if in := &l.insns[i]; in.flow == flowBranch || in.flow == flowJump {
		if to, ok := l.at(in.target); ok {
			next = append(next, to)
		}
	}
	if l.fallsThrough(i) {
		next = append(next, i+1)
	}
	return next
}

// frame says where, at instruction i, the function's return address lies and the word behind its frame. On arm64 the return address is at
// the frame's other end: https://github.com/golang/go/blob/go1.26.0/src/cmd/compile/abi-internal.md#stack-layout
func (l *listing) frame(i int) []Location {
	size := -l.delta[i]
	home := size
	if l.arch.linkRegister {
		home = 0
	}
	at := func(off int64) Location { return Location{Known: true, Stack: true, Off: off, Size: 8} }
	return []Location{at(home), at(size + 8)}
}
