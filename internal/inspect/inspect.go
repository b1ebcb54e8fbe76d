// Package inspect reports what Remora would trace in a binary, and why not the rest. It needs no privileges.
package inspect

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/plan"
	"github.com/remora-agent/remora/probes"
	"github.com/remora-agent/remora/process"
)

// States of a probe in a binary.
const (
	Ready     = "ready"
	Off       = "off"
	NotLinked = "not linked"
)

// Report is what `remora inspect --json` prints.
type Report struct {
	Path         string   `json:"path"`
	Arch         string   `json:"arch"`
	PIE          bool     `json:"pie"`
	GoVersion    string   `json:"go_version"`
	MainPackage  string   `json:"main_package,omitempty"`
	Module       Module   `json:"module"`
	Dependencies []Module `json:"dependencies,omitempty"`
	Profiled     bool     `json:"profiled,omitempty"` // built with -pgo
	Probes       []Probe  `json:"probes"`
}

// Module is a Go module; Replace is what stands in for it.
type Module struct {
	Path    string  `json:"path,omitempty"`
	Version string  `json:"version,omitempty"`
	Replace *Module `json:"replace,omitempty"`
}

// Probe is one probe in this binary.
type Probe struct {
	Name     string    `json:"name"`
	Library  string    `json:"library"`
	State    string    `json:"state"`
	Reason   string    `json:"reason,omitempty"`
	Steering *Steering `json:"steering,omitempty"`
	Programs []Program `json:"programs,omitempty"`
}

// Steering says how requests come to carry a traceparent without writes to the program's memory, in calls that the program is made to
// do for each; or why they cannot.
type Steering struct {
	Calls   int    `json:"calls,omitempty"`
	Carried int    `json:"calls_carried,omitempty"` // where the trace came in with a request that is still served
	Missing int    `json:"missing_pairs,omitempty"` // pairs of digits that take one call more, each time that an ID has them
	Reason  string `json:"reason,omitempty"`
}

// Program is one BPF program with its points, or why it has none.
type Program struct {
	Name     string  `json:"name"`
	Optional bool    `json:"optional,omitempty"`
	Trial    bool    `json:"trial,omitempty"` // detached again where it proves useless
	Points   []Point `json:"points,omitempty"`
	Unseen   []Copy  `json:"unseen,omitempty"` // calls that do not come by
	Reason   string  `json:"reason,omitempty"`
}

// Copy is the code of a function that the compiler has put in the place of a call.
type Copy struct {
	Of string `json:"of"`
	In string `json:"in"`
}

// Point is one uprobe.
type Point struct {
	Function    string       `json:"function"`
	Address     uint64       `json:"address"` // link-time
	Offset      uint64       `json:"offset"`  // in the file
	Instruction string       `json:"instruction"`
	Cost        process.Cost `json:"cost"` // "emulated" or "stepped"
	Why         string       `json:"why"`
}

// Binary reports on a binary.
func Binary(b *process.Binary, list []probes.Probe) Report {
	r := Report{
		Path: b.Path, Arch: b.Arch, PIE: b.PIE, GoVersion: b.GoVersion, MainPackage: b.MainPackage, Module: module(b.Main), Profiled: b.Profiled,
	}
	for _, d := range b.Deps {
		r.Dependencies = append(r.Dependencies, module(d))
	}
	for _, p := range plan.All(b, list) {
		r.Probes = append(r.Probes, probe(p))
	}
	return r
}

func module(m process.Module) Module {
	out := Module{Path: m.Path, Version: m.Version}
	if m.Replace != nil {
		replace := module(*m.Replace)
		out.Replace = &replace
	}
	return out
}

func probe(p plan.Plan) Probe {
	out := Probe{Name: p.Probe.Name, Library: p.Probe.Library, State: Ready, Reason: p.Summary()}
	switch {
	case errors.Is(p.Err, plan.ErrNotLinked):
		out.State = NotLinked
		return out
	case p.Err != nil:
		out.State = Off
	}
	out.Steering = steering(p)
	for _, program := range p.Programs {
		prog := Program{Name: program.Name, Optional: program.Optional, Trial: program.Trial != nil}
		if program.Err != nil {
			prog.Reason = strings.ReplaceAll(program.Err.Error(), "\n", "; ")
		}
		for _, point := range program.Points {
			prog.Points = append(prog.Points, Point{
				Function: point.Func.Name, Address: point.Addr, Offset: point.Offset,
				Instruction: point.Asm, Cost: point.Cost, Why: point.Why,
			})
		}
		for _, copied := range program.Unseen {
			prog.Unseen = append(prog.Unseen, Copy{copied.Name, copied.In.Name})
		}
		out.Programs = append(out.Programs, prog)
	}
	return out
}

// steering counts the pieces of a traceparent of HTTP/1 that says "sampled"; of HTTP/2 there are as many, or one more or less. nil: nothing
// in the binary is steered by this probe.
func steering(p plan.Plan) *Steering {
	if !slices.ContainsFunc(p.Programs, func(program plan.Program) bool { return program.Steers && program.Err == nil }) {
		return nil
	}
	if p.NoSteering != nil {
		return &Steering{Reason: p.NoSteering.Error()}
	}
	for _, value := range p.Constants {
		pieces, ok := value.(bpf.Pieces)
		if !ok {
			continue
		}
		count := func(text int) int { return int(pieces.Texts[text].N) }
		const sampled, traceID, spanID = 1, 16, 8 // pairs of digits
		ends := count(bpf.TextLineName) + spanID + count(bpf.TextLineEnd+sampled)
		missing := 0
		for _, pair := range pieces.Hex {
			if pair == 0 {
				missing++
			}
		}
		return &Steering{Calls: ends + count(bpf.TextVersion) + traceID + count(bpf.TextDash), Carried: ends + 1, Missing: missing}
	}
	return nil
}

// WriteText writes the report for people.
func (r Report) WriteText(w io.Writer) error {
	kind := "executable at a fixed address"
	if r.PIE {
		kind = "position-independent executable"
	}
	version := r.GoVersion
	if version == "" {
		version = "Go of unknown version (no build info)"
	}
	fmt.Fprintf(w, "%s\n  %s, %s, %s\n", r.Path, version, r.Arch, kind)
	if r.MainPackage != "" {
		fmt.Fprintf(w, "  package %s of module %s, %d dependencies\n", r.MainPackage, strings.TrimSpace(r.Module.Path+" "+r.Module.Version), len(r.Dependencies))
	}
	if r.Profiled {
		fmt.Fprintln(w, "  built with a profile (-pgo)")
	}
	for _, p := range r.Probes {
		fmt.Fprintf(w, "\n%s: %s\n", p.Name, p.State)
		if p.Reason != "" && p.State != NotLinked {
			fmt.Fprintf(w, "  because: %s\n", p.Reason)
		}
		if s := p.Steering; s != nil && s.Reason != "" {
			fmt.Fprintf(w, "  cannot be steered: %s\n", s.Reason)
		} else if s != nil {
			fmt.Fprintf(w, "  a steered traceparent takes %d calls, %d if its trace came in with a request\n", s.Calls, s.Carried)
			if s.Missing > 0 {
				fmt.Fprintf(w, "  of 256 pairs of digits its read-only memory does not have %d: one call more where an ID has one\n", s.Missing)
			}
		}
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, program := range p.Programs {
			for _, point := range program.Points {
				fmt.Fprintf(table, "  %s\t%s\t%#x\t%s\t%s\t%s\n", program.Name, point.Function, point.Address, point.Instruction, point.Cost, point.Why)
			}
			for _, copied := range program.Unseen {
				fmt.Fprintf(table, "  %s\tnot seen: calls of %s in %s, which has a copy of it\n", program.Name, copied.Of, copied.In)
			}
			if program.Reason != "" {
				missing := "cannot be placed"
				if program.Optional {
					missing = "left out"
				}
				fmt.Fprintf(table, "  %s\t%s: %s\n", program.Name, missing, program.Reason)
			}
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}
