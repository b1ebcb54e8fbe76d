package plan

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/remora-agent/remora/probes"
	"github.com/remora-agent/remora/process"
)

// placeCopies adds the points for copies of the sites' functions, and notes the copies for which there are none, or no end.
func (p *Program) placeCopies(b search, end Program) {
	if p.Err != nil && !onlyAbsence(p.Err) {
		return
	}
	var about []string // functions with points, and those that only copies are left of
	for i, site := range p.Sites {
		has := slices.ContainsFunc(p.Points, func(point Point) bool { return point.Site == i })
		gone := len(b.functions[site.Func]) == 0 && (p.Every || len(p.Points) == 0)
		if (has || gone) && !slices.Contains(about, site.Func) {
			about = append(about, site.Func)
		}
	}
	for _, of := range about {
		if len(b.inlined[of]) == process.MaxCopies {
			p.Unseen = append(p.Unseen, process.Inlined{Name: of, In: process.Function{Name: "further functions"}})
		}
		for _, copied := range b.inlined[of] {
			points, seen := p.copyPoints(b, copied)
			points = slices.DeleteFunc(points, p.has)
			switch {
			case !seen || end.misses(copied) || checkPoints(slices.Concat(p.Points, points)) != nil:
				p.Unseen = append(p.Unseen, copied)
			case len(points) > 0:
				p.Points, p.Err = append(p.Points, points...), nil
			}
		}
	}
}

// misses says whether the program does not see a copy.
func (p *Program) misses(copied process.Inlined) bool {
	return slices.ContainsFunc(p.Unseen, func(unseen process.Inlined) bool { return unseen.Name == copied.Name && unseen.In == copied.In })
}

// has says whether the program has a point already: copies may share it.
func (p *Program) has(point Point) bool {
	return slices.ContainsFunc(p.Points, func(known Point) bool { return known.Addr == point.Addr })
}

// copyPoints finds the points that stand for the copies of a site's function in another one, and says whether what they do is seen.
func (p *Program) copyPoints(b search, copied process.Inlined) (points []Point, seen bool) {
	for i, c := range p.Copies {
		if c.Of != copied.Name || c.Func != "" && c.Func != copied.In.Name {
			continue
		}
		in := []process.Function{copied.In}
		if c.Closure {
			in = b.literals(c, copied)
		}
		if !b.afford(in) {
			return nil, false
		}
		if c.Seen {
			if _, err := find(b.Binary, c.Site, in); err == nil {
				return nil, true
			}
			continue
		}
		for _, f := range in { // one of the literals does the work
			found, err := pointsOf(b.Binary, c.Site, len(p.Sites)+i, []process.Function{f})
			if err == nil {
				points = append(points, found...)
			}
		}
		if c.Func == "" && !c.Closure { // what comes after a call may come after the copy
			points = slices.DeleteFunc(points, func(point Point) bool { return !copied.Holds(cmp.Or(point.Call, point.Addr)) })
		}
		if len(points) > 0 {
			return points, true
		}
	}
	return nil, false
}

// How the compiler names function literals. From Go 1.22 on, those in a literal, or in what it makes of the body of a loop or of a call by go or defer,
// have numbers only: https://github.com/golang/go/blob/go1.27.4/src/cmd/compile/internal/ir/func.go#L436
var (
	literal       = regexp.MustCompile(`(\.(func|gowrap|deferwrap)|-range)[0-9]+(\.[0-9]+)*$`)
	loopBody      = regexp.MustCompile(`-range[0-9]+[^/]*$`)
	nestedLiteral = regexp.MustCompile(`^\.[0-9]+$`)
	outerLiteral  = regexp.MustCompile(`^\.func[0-9]+$`)
)

// insideOf and allOf are patterns of the names of a copy's literals: before Go 1.27 the compiler names them after both functions (but not after the body of
// a loop), and after what else the copy is inlined in; since then copies share them.
func insideOf(copied process.Inlined) string {
	return loopBody.ReplaceAllString(copied.In.Name, "") + ".*"
}
func allOf(copied process.Inlined) string { return copied.Name + ".*" }

// literalNames returns the patterns for all copies whose literals probes want.
func literalNames(list []probes.Probe, inlined map[string][]process.Inlined) (patterns []string) {
	for _, probe := range list {
		for _, program := range probe.Programs {
			for _, c := range program.Copies {
				if !c.Closure {
					continue
				}
				for _, copied := range inlined[c.Of] {
					patterns = append(patterns, insideOf(copied), allOf(copied))
				}
			}
		}
	}
	return patterns
}

// literals returns the function literals of a copy. Those that copies share may be those that the function itself gives to c.Without, which it has points
// for.
func (s search) literals(c probes.Copy, copied process.Inlined) (found []process.Function) {
	inside, all := s.functions[insideOf(copied)], s.functions[allOf(copied)]
	const perName = 4 // in time
	*s.copyCode += perName * (len(inside) + len(all))
	for _, f := range inside {
		if isLiteralOf(f.Name, copied.Name) {
			found = append(found, f)
		}
	}
	names := outerLiteral
	if literal.MatchString(copied.In.Name) {
		names = nestedLiteral
	} else if of := s.functions[c.Of]; len(of) > 0 {
		if !s.afford(of) {
			return found
		}
		if _, err := find(s.Binary, probes.Site{Func: c.Of, Without: c.Without}, of); err != nil {
			return found
		}
	}
	for _, f := range all {
		if names.MatchString(strings.TrimPrefix(f.Name, copied.Name)) {
			found = append(found, f)
		}
	}
	return found
}

// maxCopyCode bounds the code that is decoded to find points for copies, in bytes; a program with copies of all of database/sql has 50 KB.
const maxCopyCode = 3 << 20

// afford says whether functions may be decoded for copies as well, and counts what that costs.
func (s search) afford(functions []process.Function) bool {
	for _, f := range functions {
		const atLeast, atMost = 64, 1 << 20
		*s.copyCode += int(min(atLeast+f.Size, atMost))
	}
	return *s.copyCode <= maxCopyCode
}

// isLiteralOf says whether a function's name is that of a literal in a copy of another one, as it was before Go 1.27.
func isLiteralOf(name, copied string) bool {
	of := copied[strings.LastIndexByte(copied, '/')+1:]
	of = of[strings.IndexByte(of, '.'):] // without its package
	last := strings.LastIndexByte(name, '.')
	return strings.HasSuffix(name[:last], of) && (outerLiteral.MatchString(name[last:]) || nestedLiteral.MatchString(name[last:]))
}
