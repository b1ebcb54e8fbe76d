package process

import "fmt"

// maxCheck is how many instructions may be between a call and the check of its error.
const maxCheck = 16

// edge is one way that a branch goes.
type edge struct {
	branch int
	when   When
}

// Exits is Returns for a function that hands on what one of callees returns unless that is an error: where it calls one and
// then checks the error, an interface value whose first word is result word errWord, the point is the branch of the check, if
// it goes the way of no error. The RETs that only this way leads to are not among the points. A function without such a
// check has the points of Returns.
//
// That costs less than Returns, as the way that nearly every call takes ends in an emulated branch.
func (c Code) Exits(results, errWord int, callees ...string) ([]Point, error) {
	all, err := c.Returns(results)
	if err != nil {
		return nil, err
	}
	l, err := c.list()
	if err != nil {
		return nil, err
	}
	if errWord >= results || l.tables {
		return all, nil
	}
	wanted := map[string]bool{}
	for _, name := range callees {
		wanted[name] = true
	}
	var points []Point
	success := map[edge]bool{}
	for i, in := range l.insns {
		if in.flow != flowCall || !wanted[l.nameAt(in.target)] {
			continue
		}
		p, e, ok := l.errorCheck(i, results, errWord)
		if check := &l.insns[e.branch]; ok && check.flags { // the programs know these branches only
			p.When, p.CC = e.when, check.cc
			points = append(points, p)
			success[e] = true
		}
	}
	if len(points) == 0 {
		return all, nil
	}
	reached, otherwise := l.reachable(nil), l.reachable(success)
	for i, in := range l.insns {
		if in.flow != flowRet || reached[i] && !otherwise[i] {
			continue
		}
		ps, err := l.pointsOf(i, results)
		if err != nil {
			return nil, fmt.Errorf("find exits: %w", err)
		}
		points = append(points, ps...)
	}
	return points, nil
}

// AfterError returns, for each direct call of the function named callee, whose only result is an error, the first instruction that runs if
// it has returned one, and where the error is there. It fails if there is none, or none that nothing else leads to.
func (c Code) AfterError(callee string) ([]Point, error) {
	const words = 2 // of an error
	l, err := c.list()
	if err != nil {
		return nil, err
	}
	var points []Point
	for i, in := range l.insns {
		if in.flow != flowCall || l.nameAt(in.target) != callee {
			continue
		}
		check, e, ok := l.errorCheck(i, words, 0)
		if !ok {
			continue
		}
		if first, ok := l.otherWay(e); ok {
			p := l.point(first, "where an error goes")
			p.Results = check.Results
			points = append(points, p)
		}
	}
	if points == nil {
		return nil, fmt.Errorf("find where an error of %s goes: %w", callee, ErrNoCall)
	}
	return points, nil
}

// otherWay returns the instruction that a branch leads to if it does not go the way of e, and whether only it leads there.
func (l *listing) otherWay(e edge) (int, bool) {
	in := &l.insns[e.branch]
	if e.when == Taken {
		next := e.branch + 1
		return next, next < len(l.insns) && l.usable(next) && len(l.jumpsTo(l.insns[next].addr)) == 0
	}
	to, ok := l.at(in.target)
	return to, ok && l.usable(to) && len(l.jumpsTo(in.target)) == 1 && !l.fallsThrough(to-1)
}

// errorCheck finds the check of the error behind a call: a branch if its first word is zero or is not. Another call may lead to the same check, if
// nothing but a jump is between. What the point's branch depends on is not in it.
func (l *listing) errorCheck(call, results, errWord int) (Point, edge, bool) {
	t := l.newTrace()
	for i := call + 1; i < min(len(l.insns), call+maxCheck) && l.fallsThrough(i-1); i++ {
		in := &l.insns[i]
		if !l.joinsBehindCalls(in.addr) {
			break
		}
		if tested, when, ok := l.zeroCheck(i); ok && l.usable(i) {
			if t.regs[tested] != (value{place{inRegister, l.arch.results[errWord], 0}, 8}) {
				break
			}
			p := l.point(i, "check of the error behind the call")
			p.Results = t.findResults(results, l.delta[i])
			for _, r := range p.Results {
				if !r.Known {
					return Point{}, edge{}, false
				}
			}
			return p, edge{i, when}, true
		}
		if in.flow != flowNext {
			break
		}
		t.step(i)
	}
	return Point{}, edge{}, false
}

// zeroCheck returns the machine number of the register that the branch at instruction i depends on, and which way it goes if that is zero.
func (l *listing) zeroCheck(i int) (tested uint8, when When, ok bool) {
	const equal, notEqual = 4, 5
	in := &l.insns[i]
	if in.zeroBranch {
		return in.tested, in.whenZero, true
	}
	if in.flow != flowBranch || !in.flags || in.cost != Emulated || i == 0 || !l.insns[i-1].zeroTest {
		return 0, Always, false
	}
	tested = l.insns[i-1].tested
	switch in.cc {
	case equal:
		return tested, Taken, true
	case notEqual:
		return tested, NotTaken, true
	}
	return 0, Always, false
}

// joinsBehindCalls reports whether every jump to addr stands right behind a call: the results are where they are behind that.
func (l *listing) joinsBehindCalls(addr uint64) bool {
	for _, j := range l.jumpsTo(addr) {
		if l.insns[j.from].flow != flowJump || !l.behindCall(j.from) {
			return false
		}
	}
	return true
}

// behindCall reports whether nothing but a call comes right before instruction i, and instructions that do nothing.
func (l *listing) behindCall(i int) bool {
	for ; i > 0 && !l.targeted(l.insns[i].addr, l.insns[i].addr+1); i-- {
		switch before := &l.insns[i-1]; {
		case before.flow == flowCall || before.flow == flowCallReg:
			return true
		case before.flow != flowNext || before.writes() != 0 || before.sp != 0 || before.spLost || before.pointers:
			return false
		}
	}
	return false
}

// reachable returns the instructions that control can come to from the function's first, without the given ways.
func (l *listing) reachable(without map[edge]bool) []bool {
	seen := make([]bool, len(l.insns))
	for todo := []int{0}; len(todo) > 0; {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[i] {
			continue
		}
		seen[i] = true
		in := &l.insns[i]
		if in.flow == flowBranch || in.flow == flowJump {
			if to, ok := l.at(in.target); ok && !without[edge{i, Taken}] {
				todo = append(todo, to)
			}
		}
		if l.fallsThrough(i) && !without[edge{i, NotTaken}] {
			todo = append(todo, i+1)
		}
	}
	return seen
}
