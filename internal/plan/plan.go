// Package plan says what of a probe can be placed in one binary: where its programs go, with which constants, and what is
// missing and why. It attaches nothing; `remora inspect` prints plans, the agent carries them out.
package plan

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/probes"
	"github.com/remora-agent/remora/process"
)

// ErrNotLinked is the cause when a binary has nothing of what the probe instruments, which is no fault: the linker leaves out
// the server of a program that is only a client.
var ErrNotLinked = errors.New("the program does not contain it")

// Plan is one probe in one binary.
type Plan struct {
	Probe     probes.Probe
	Programs  []Program
	Constants map[string]any // for bpf.Runtime.Load
	// Err says why the whole probe is off, nil if it can be attached.
	Err error
	// NoSteering says why no trace context can be steered into requests, nil if nothing speaks against it.
	NoSteering error

	dropped []string // programs
}

// Program is one program of the probe.
type Program struct {
	probes.Program
	Points []Point
	Err    error // why it cannot be placed; of an optional program no fault of the probe
	// Unseen are copies of a function among the points: calls that do not come by.
	Unseen []process.Inlined
}

// Point is a place in the file.
type Point struct {
	process.Point
	Site   int // place of its site in the program's list
	Func   process.Function
	Offset uint64 // in bytes from the start of the file
}

// Without names the programs that are left out.
func (p *Plan) Without() []string {
	names := slices.Clone(p.dropped)
	for _, program := range p.Programs {
		if program.Err != nil {
			names = append(names, program.Name)
		}
	}
	return names
}

// Choose takes the programs out of the plan that inject trace context by other mechanisms than these. Where a program that writes
// has others in its stead that steer, and all of those can be placed, they are taken.
func (p *Plan) Choose(by bpf.Mechanisms) {
	steered := map[string]bool{}
	for _, program := range p.Programs {
		if of := program.InsteadOf; of != "" {
			before, known := steered[of]
			steered[of] = by.Steer && p.NoSteering == nil && program.Err == nil && (before || !known)
		}
	}
	p.Programs = slices.DeleteFunc(p.Programs, func(program Program) bool {
		out := false
		switch {
		case program.InsteadOf != "":
			out = !steered[program.InsteadOf]
		case program.Steers:
			out = !by.Any()
		case program.Injects:
			out = !by.Write || steered[program.Name]
		}
		if out {
			p.dropped = append(p.dropped, program.Name)
		}
		return out
	})
}

// RefuseInjection leaves out the programs that inject trace context, for the reason given. It says whether there were any.
func (p *Plan) RefuseInjection(reason error) bool {
	refused := false
	for i := range p.Programs {
		if program := &p.Programs[i]; program.Injects && program.Err == nil {
			program.Err = reason
			refused = true
		}
	}
	return refused
}

// Make plans a probe for a binary.
func Make(b *process.Binary, probe probes.Probe) Plan { return All(b, []probes.Probe{probe})[0] }

// All plans probes for a binary, in their order. It is quicker than one after the other.
func All(b *process.Binary, list []probes.Probe) []Plan {
	s := newSearch(b, list)
	var plans []Plan
	for _, probe := range list {
		plans = append(plans, newPlan(s, probe))
	}
	return plans
}

// search is a binary with the functions that probes are about, and their copies, by their names. Both walk all of its functions.
type search struct {
	*process.Binary
	functions map[string][]process.Function
	inlined   map[string][]process.Inlined
	copyCode  *int // bytes of code decoded for copies
}

func newPlan(b search, probe probes.Probe) Plan {
	plan := Plan{Probe: probe, Constants: map[string]any{}}
	if !linked(b, probe) {
		plan.Err = fmt.Errorf("%s: %w", probe.Name, ErrNotLinked)
		return plan
	}
	ends := map[string]Program{}
	for _, program := range slices.Backward(probe.Programs) { // ends first
		if needless(b, program) || unused(b, program) {
			plan.dropped = append(plan.dropped, program.Name)
			continue
		}
		end := ends[program.Ends]
		placed := place(b, program, end)
		if end.Err != nil {
			placed.Err = cmp.Or(placed.Err, fmt.Errorf("%s cannot be placed: %w", end.Name, end.Err))
		}
		points, err := placed.Points, placed.Err
		plan.Programs = append(plan.Programs, placed)
		ends[program.Name] = placed
		if err == nil {
			plan.Constants[program.Name+"_points"] = constantOf(points, b.PIE)
		} else if !program.Optional {
			plan.Err = errors.Join(err, plan.Err)
		}
	}
	slices.Reverse(plan.Programs)
	slices.Reverse(plan.dropped)
	for _, c := range probe.Constants {
		value, err := resolve(b.Binary, c)
		if err != nil && c.Steers {
			plan.NoSteering = err
			continue
		}
		if err != nil {
			plan.Err = errors.Join(plan.Err, err)
			continue
		}
		plan.Constants[c.Name] = value
	}
	return plan
}

// needless says whether the binary has what makes up for the program.
func needless(b search, program probes.Program) bool {
	if program.Unless == (probes.Field{}) {
		return false
	}
	_, err := b.Field(program.Unless.Type, program.Unless.Path)
	return err == nil
}

// unused says whether the binary has no function of an optional program that goes to every one that it has, nor a copy of one.
func unused(b search, program probes.Program) bool {
	has := func(site probes.Site) bool { return len(b.functions[site.Func]) > 0 || len(b.inlined[site.Func]) > 0 }
	return program.Every && program.Optional && !slices.ContainsFunc(program.Sites, has)
}

func newSearch(b *process.Binary, list []probes.Probe) search {
	var names []string
	for _, probe := range list {
		names = append(names, probe.Needs)
		for _, program := range probe.Programs {
			for _, site := range program.Sites {
				names = append(names, site.Func)
			}
			for _, c := range program.Copies {
				names = append(names, c.Func)
			}
		}
	}
	inlined := b.Inlined(names...)
	return search{b, b.Functions(append(names, literalNames(list, inlined)...)...), inlined, new(int)}
}

// linked says whether the binary has any function that the probe cannot do without, be it only inlined. What optional programs
// want says nothing, unless there are no others: a program that is only a client may have the router of a server.
func linked(b search, probe probes.Probe) bool {
	has := func(name string) bool { return len(b.functions[name]) > 0 || b.InlinedOnly(name) }
	if probe.Needs != "" && !has(probe.Needs) {
		return false
	}
	if probe.NeedsIn != "" {
		return slices.ContainsFunc(b.inlined[probe.Needs], func(copied process.Inlined) bool { return copied.In.Name == probe.NeedsIn })
	}
	required := slices.ContainsFunc(probe.Programs, func(p probes.Program) bool { return !p.Optional })
	for _, program := range probe.Programs {
		if required && program.Optional {
			continue
		}
		for _, site := range program.Sites {
			if has(site.Func) {
				return true
			}
		}
	}
	return false
}

// place finds the points of a program, and what cannot be seen from them. End is the program that sees the end of what it begins.
func place(b search, program probes.Program, end Program) Program {
	placed := Program{Program: program}
	if program.Every {
		placed.Points, placed.Err = placeEvery(b, program)
	} else {
		placed.Points, placed.Err = placeFirst(b, program)
	}
	placed.placeCopies(b, end)
	if len(placed.Points) > 0 && placed.Err == nil {
		placed.Err = checkPoints(placed.Points)
	}
	return placed
}

// placeFirst finds the points of the first site that the binary has.
func placeFirst(b search, program probes.Program) ([]Point, error) {
	var errs []error
	for i, site := range program.Sites {
		functions, err := find(b.Binary, site, b.functions[site.Func])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		points, err := pointsOf(b.Binary, site, i, functions)
		if err == nil {
			err = checkPoints(points)
		}
		if err == nil {
			return points, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// placeEvery finds the points of all sites whose function the binary has. The linker leaves out what a program does not call, but
// what is there must have its points: an operation would have no end.
func placeEvery(b search, program probes.Program) ([]Point, error) {
	var all []Point
	var missing []error
	for i, site := range program.Sites {
		functions, err := find(b.Binary, site, b.functions[site.Func])
		if err != nil {
			missing = append(missing, err)
			continue
		}
		points, err := pointsOf(b.Binary, site, i, functions)
		if err != nil {
			return nil, err
		}
		all = append(all, points...)
	}
	if len(all) == 0 {
		return nil, errors.Join(missing...)
	}
	return all, nil
}

// absence is why a site has no function, as opposed to one that has, and no place for a probe.
type absence string

func (a absence) Error() string { return string(a) }

// onlyAbsence says whether all the reasons joined in err are.
func onlyAbsence(err error) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(joined.Unwrap(), func(err error) bool { return !onlyAbsence(err) })
	}
	return errors.As(err, new(absence))
}

// find returns the functions of a site, of all that have its name.
func find(b *process.Binary, site probes.Site, all []process.Function) ([]process.Function, error) {
	if len(all) == 0 {
		if b.InlinedOnly(site.Func) {
			return nil, absence(fmt.Sprintf("%s is inlined wherever it is called", site.Func))
		}
		return nil, absence(fmt.Sprintf("the program has no function %s", site.Func))
	}
	if site.Calls == "" && site.Without == "" {
		return all, nil
	}
	var found []process.Function
	for _, f := range all {
		code, err := codeOf(b, f)
		if err != nil {
			return nil, err
		}
		called := map[string]bool{}
		for _, call := range code.Calls() {
			called[call.Name] = true
		}
		if (site.Calls == "" || called[site.Calls]) && (site.Without == "" || !called[site.Without]) {
			found = append(found, f)
		}
	}
	switch {
	case len(found) > 0:
		return found, nil
	case site.Without != "":
		return nil, absence(fmt.Sprintf("every function %s calls %s", site.Func, site.Without))
	}
	return nil, absence(fmt.Sprintf("no function %s calls %s", site.Func, site.Calls))
}

func codeOf(b *process.Binary, f process.Function) (process.Code, error) {
	code, err := b.Code(f)
	if err != nil {
		return process.Code{}, err
	}
	return process.Code{Arch: b.Arch, Addr: f.Addr, Bytes: code, NameAt: func(addr uint64) string {
		if callee, ok := b.FunctionAt(addr); ok && callee.Addr == addr {
			return callee.Name
		}
		return ""
	}}, nil
}

func pointsOf(b *process.Binary, site probes.Site, number int, functions []process.Function) ([]Point, error) {
	var points []Point
	for _, f := range functions {
		code, err := codeOf(b, f)
		if err != nil {
			return nil, err
		}
		found, err := pointsIn(code, site)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		for _, p := range found {
			for i := range site.Results {
				if l := p.Results[site.Skip+i]; !l.Known && !l.Const {
					return nil, fmt.Errorf("%s: result word %d is at no known place at %#x", f.Name, site.Skip+i, p.Addr)
				}
			}
			p.Results = p.Results[min(site.Skip, len(p.Results)):]
			offset, ok := b.FileOffset(p.Addr)
			if !ok {
				return nil, fmt.Errorf("%s: address %#x is not in the file", f.Name, p.Addr)
			}
			points = append(points, Point{Point: p, Site: number, Func: f, Offset: offset})
		}
	}
	if len(points) == 0 {
		return nil, fmt.Errorf("%s has no call of %s", site.Func, strings.Join(site.After, " or "))
	}
	return points, nil
}

func pointsIn(code process.Code, site probes.Site) ([]process.Point, error) {
	switch {
	case len(site.After) > 0:
		return afterCalls(code, site)
	case site.Over != "":
		end, err := code.LoopEnd(site.Over)
		if site.Failed != "" {
			return []process.Point{end.Failed}, err
		}
		return []process.Point{end.Over}, err
	case site.Behind != "":
		return code.BehindCalls(site.Behind, site.Skip+site.Results)
	case site.Failed != "":
		return code.AfterError(site.Failed)
	case site.At != "" && site.Every:
		return code.AtCalls(site.At)
	case site.Back != "":
		followup := process.Others
		if site.Again {
			followup = process.Again
		}
		p, err := code.Resume(site.Back, site.Results, followup)
		return []process.Point{p}, err
	case site.At != "":
		p, err := code.AtCall(site.At)
		return []process.Point{p}, err
	case site.Return && site.Around != "":
		return code.RetsAround(site.Around, site.Skip+site.Results)
	case site.Return && site.Bare:
		return code.Rets(site.Skip + site.Results)
	case site.Return:
		return code.Exits(site.Skip+site.Results, 1, site.Success...)
	}
	p, err := code.Entry()
	return []process.Point{p}, err
}

func afterCalls(code process.Code, site probes.Site) ([]process.Point, error) {
	var points []process.Point
	for _, callee := range site.After {
		found, err := code.AfterCall(callee, site.Skip+site.Results, site.Results)
		if err != nil && !errors.Is(err, process.ErrNoCall) {
			return nil, err
		}
		points = append(points, found...)
	}
	return points, nil
}

// checkPoints refuses what the BPF side has no room for.
func checkPoints(points []Point) error {
	for _, p := range points {
		if p.Return != 0 && p.Addr-p.Return > math.MaxUint8 {
			return fmt.Errorf("%s at %#x is too far from where the call comes back to (%#x)", p.Func.Name, p.Addr, p.Return)
		}
	}
	if most := len(bpf.Points{}.At); len(points) > most {
		return fmt.Errorf("%s needs %d probes, more than %d", points[0].Func.Name, len(points), most)
	}
	return nil
}

const pageSize = 4096 // the smallest that there are

// constantOf makes the programs' table of their points.
func constantOf(points []Point, pie bool) bpf.Points {
	c := bpf.Points{N: uint64(len(points)), Fixed: ^uint64(0)}
	if pie {
		c.Fixed = pageSize - 1 // pages are mapped whole
	}
	for i, p := range points {
		at := &c.At[i]
		at.Addr, at.Cc, at.Site = p.Addr, p.CC, uint8(p.Site)
		if p.Cost == process.Stepped && p.Asm == "RET" {
			at.Ret = 1
		}
		if p.Return != 0 {
			at.Behind = uint8(p.Addr - p.Return) // see checkPoints
		}
		switch p.When {
		case process.Always:
			at.Branch = bpf.BranchAny
		case process.Taken:
			at.Branch = bpf.BranchTaken
		case process.NotTaken:
			at.Branch = bpf.BranchNotTaken
		}
		for k, l := range p.Results[:min(len(p.Results), len(at.Results))] {
			switch {
			case !l.Known:
			case l.Stack:
				at.Results[k].Place, at.Results[k].Off = bpf.PlaceStack, int32(l.Off)
			default:
				at.Results[k].Place, at.Results[k].Reg = bpf.PlaceRegister, l.Machine
			}
		}
	}
	return c
}

// Summary is the plan's error in one line.
func (p *Plan) Summary() string {
	if p.Err == nil {
		return ""
	}
	return strings.ReplaceAll(p.Err.Error(), "\n", "; ")
}
