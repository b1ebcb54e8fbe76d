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
		if c.Seen {
			if _, err := find(b.Binary, c.Site, in); err == nil {
				return nil, true
			}
			continue
		}
		if c.Closure {
			in = b.literals(c, copied)
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

// literals returns the function literals of a copy. Before Go 1.27 the compiler names them after both functions (but not after the body of a loop), and
// after what else the copy is inlined in; since then copies share them, and they may be those that the function itself gives to c.Without, which it has
// points for.
func (s search) literals(c probes.Copy, copied process.Inlined) []process.Function {
	inside, all := loopBody.ReplaceAllString(copied.In.Name, "")+".*", copied.Name+".*"
	found := s.Functions(inside, all)
	own := slices.DeleteFunc(found[inside], func(f process.Function) bool { return !isLiteralOf(f.Name, copied.Name) })
	names := outerLiteral
	if literal.MatchString(copied.In.Name) {
		names = nestedLiteral
	} else if of := s.functions[c.Of]; len(of) > 0 {
		if _, err := find(s.Binary, probes.Site{Func: c.Of, Without: c.Without}, of); err != nil {
			return own
		}
	}
	return append(own, slices.DeleteFunc(found[all], func(f process.Function) bool {
		return !names.MatchString(strings.TrimPrefix(f.Name, copied.Name))
	})...)
}

// isLiteralOf says whether a function's name is that of a literal in a copy of another one, as it was before Go 1.27.
func isLiteralOf(name, copied string) bool {
	of := copied[strings.LastIndexByte(copied, '/')+1:]
	of = of[strings.IndexByte(of, '.'):] // without its package
	last := strings.LastIndexByte(name, '.')
	return strings.HasSuffix(name[:last], of) && (outerLiteral.MatchString(name[last:]) || nestedLiteral.MatchString(name[last:]))
}
