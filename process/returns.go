package process

import (
	"fmt"
	"reflect"
)

// maxBranches is how many points one RET may have; with more, one probe on the RET itself does less harm.
const maxBranches = 8

// maxReturns bounds the points of one function: nobody attaches so many.
const maxReturns = 1024

// Returns returns points that together cover every RET of the function, in the order of the RETs, each with where the
// first results integer result words are.
//
// Best is an emulated branch, jump or NOP before the RET after which only straight-line code without calls runs, and
// which shows every result word (a Location with Known or Const). If control reaches that code over several branches,
// each is a point, and one branch can be two points with opposite When that lead to different places. If that is not
// provable, the point is the RET itself: emulated on arm64, stepped on amd64; its Why gives the reason.
//
// A function that ends in a jump to another function returns there: such a tail call is no point. It fails if the
// function cannot be decoded to its end, if a RET cannot be probed, if there are more than a thousand points, or if the words do not fit in registers.
func (c Code) Returns(results int) ([]Point, error) {
	l, err := c.list()
	if err != nil {
		return nil, err
	}
	return l.returns(results, l.pointsOf)
}

// Rets is Returns with every RET itself a point. It costs less than Returns for a function in which each way ends in a RET of its
// own: the branch that leads to one is on the way of others, a RET is not.
func (c Code) Rets(results int) ([]Point, error) {
	l, err := c.list()
	if err != nil {
		return nil, err
	}
	return l.returns(results, func(ret, results int) ([]Point, error) {
		p, err := l.retItself(ret, results, "RET itself")
		return []Point{p}, err
	})
}

// RetsAround is Rets without the RETs that control only comes to by way of a direct call of callee.
func (c Code) RetsAround(callee string, results int) ([]Point, error) {
	l, err := c.list()
	if err != nil {
		return nil, err
	}
	calls := map[edge]bool{}
	for i, in := range l.insns {
		if in.flow == flowCall && l.nameAt(in.target) == callee {
			calls[edge{i, NotTaken}] = true
		}
	}
	around := l.reachable(calls)
	return l.returns(results, func(ret, results int) ([]Point, error) {
		if !around[ret] && !l.tables {
			return nil, nil
		}
		p, err := l.retItself(ret, results, "RET that is reached without "+callee)
		return []Point{p}, err
	})
}

// returns collects what pointsOf finds for each RET.
func (l *listing) returns(results int, pointsOf func(ret, results int) ([]Point, error)) ([]Point, error) {
	if l.err != nil {
		return nil, fmt.Errorf("find returns: %w", l.err)
	}
	if results < 0 || results > len(l.arch.results) {
		return nil, fmt.Errorf("find returns at %#x: %d results do not fit in registers", l.Addr, results)
	}
	var points []Point
	for i := range l.insns {
		if l.insns[i].flow != flowRet {
			continue
		}
		ps, err := pointsOf(i, results)
		if err != nil {
			return nil, err
		}
		if points = append(points, ps...); len(points) > maxReturns {
			return nil, fmt.Errorf("find returns at %#x: more than %d points", l.Addr, maxReturns)
		}
	}
	return points, nil
}

// pointsOf returns the points of the RET at i.
func (l *listing) pointsOf(ret, results int) ([]Point, error) {
	w := returnWalk{listing: l, ret: ret, results: results}
	why := "RET itself"
	switch {
	case l.insns[ret].cost == Emulated:
	case l.tables:
		why = "RET itself: an indirect jump may lead to it"
	default:
		if why = w.back(ret, nil); why == "" {
			return w.merged(), nil
		}
		why = "RET itself: " + why
	}
	p, err := l.retItself(ret, results, why)
	return []Point{p}, err
}

// retItself returns the RET at ret as a point.
func (l *listing) retItself(ret, results int, why string) (Point, error) {
	if l.insns[ret].refused {
		return Point{}, fmt.Errorf("find returns: the kernel takes no probe on the RET at %#x", l.insns[ret].addr)
	}
	p := l.point(ret, why)
	if l.delta[ret] == unknownDelta {
		p.SPDelta = 0 // a RET takes the return address from where SP was at entry
	}
	p.Results = l.newTrace().findResults(results, p.SPDelta)
	return p, nil
}

// returnWalk goes backwards from a RET over all paths that lead to it.
type returnWalk struct {
	*listing
	ret, results int
	points       []Point
}

// back finds the points on the paths to instruction i, from which path leads on to the RET. It returns why there are
// none, or "".
func (w *returnWalk) back(i int, path []int) string {
	path = append([]int{i}, path...)
	if i == 0 {
		return "no emulated instruction before it"
	}
	if len(path) > maxPath {
		return "the code before it is too long"
	}
	joins := w.jumpsTo(w.insns[i].addr)
	for _, j := range joins {
		when := Always
		if w.insns[j.from].flow == flowBranch {
			when = Taken
		}
		if why := w.add(j.from, when, path); why != "" {
			return why
		}
	}
	if !w.fallsThrough(i - 1) {
		if len(joins) == 0 {
			return "nothing seen leads to it"
		}
		return ""
	}
	switch before := &w.insns[i-1]; {
	case before.flow == flowBranch:
		return w.add(i-1, NotTaken, path)
	case before.flow == flowCall || before.flow == flowCallReg:
		return "a call comes right before it"
	case before.flow != flowNext:
		return "an exclusive access comes before it"
	case before.cost == Emulated:
		return w.add(i-1, Always, path)
	}
	return w.back(i-1, path)
}

// maxPath is how many instructions there may be between a point and its RET.
const maxPath = 64

// add makes instruction i the point of the paths that go from it along path. It returns why it cannot, or "".
func (w *returnWalk) add(i int, when When, path []int) string {
	in := &w.insns[i]
	if in.cost != Emulated || !w.usable(i) || when != Always && !in.flags {
		return "the branch to it cannot be probed"
	}
	if len(w.points) == maxBranches {
		return fmt.Sprintf("more than %d branches lead to it", maxBranches)
	}
	t := w.newTrace()
	for _, k := range append([]int{i}, path...) {
		t.step(k)
	}
	p := w.point(i, "before the return")
	p.When = when
	if when != Always {
		p.CC = in.cc
	}
	p.Results = t.givenResults(w.results, w.delta[i])
	for _, r := range p.Results {
		if !r.Known && !r.Const {
			return "a result comes from elsewhere than a register or the stack"
		}
	}
	w.points = append(w.points, p)
	return ""
}

// merged returns the points with the two ways of one branch made one where they do not differ.
func (w *returnWalk) merged() []Point {
	var points []Point
next:
	for _, p := range w.points {
		for k := range points {
			if q := &points[k]; q.Addr == p.Addr && q.When != p.When && reflect.DeepEqual(q.Results, p.Results) {
				q.When, q.CC = Always, 0
				continue next
			}
		}
		points = append(points, p)
	}
	return points
}
