package testenv

import (
	"debug/elf"
	"debug/gosym"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
	"golang.org/x/arch/x86/x86asm"
)

// writeProfile writes a CPU profile to path in which all the time was spent in the given calls, lines "caller callee" of names as in stack traces, the caller * being any. With
// a ~ before its name, the callee is what all indirect calls of the caller come to. It finds the calls' own lines in bin, a program for amd64 that was built without a profile.
func writeProfile(path, bin, hot string) error {
	wanted := strings.Split(strings.TrimSpace(hot), "\n")
	file, err := elf.Open(bin)
	if err != nil {
		return err
	}
	defer file.Close()
	text, table := file.Section(".text"), file.Section(".gopclntab")
	if text == nil || table == nil {
		return fmt.Errorf("%s has no code or no function table", bin)
	}
	code, err := text.Data()
	if err != nil {
		return err
	}
	lines, err := table.Data()
	if err != nil {
		return err
	}
	symbols, err := gosym.NewTable(nil, gosym.NewLineTable(lines, text.Addr))
	if err != nil {
		return err
	}
	p := newProfile(symbols)
	var found []string
	for i := range symbols.Funcs {
		caller := &symbols.Funcs[i]
		if caller.Entry < text.Addr || caller.End > text.Addr+uint64(len(code)) {
			continue
		}
		for pc := caller.Entry; pc < caller.End; {
			in, err := x86asm.Decode(code[pc-text.Addr:], 64)
			if err != nil {
				pc++
				continue
			}
			next := pc + uint64(in.Len)
			if in.Op == x86asm.CALL {
				rel, direct := in.Args[0].(x86asm.Rel)
				target := symbols.PCToFunc(next + uint64(int64(rel)))
				for _, call := range wanted {
					callee := target
					if name, ok := strings.CutPrefix(call, caller.Name+" ~"); ok && !direct {
						callee = symbols.LookupFunc(name)
					} else if !direct || callee == nil || call != caller.Name+" "+callee.Name && call != "* "+callee.Name {
						continue
					}
					if callee != nil {
						p.add(caller, pc, callee)
						found = append(found, call)
					}
				}
			}
			pc = next
		}
	}
	for _, call := range wanted {
		if !slices.Contains(found, call) {
			return fmt.Errorf("%s has no call %q", bin, call)
		}
	}
	return p.write(path)
}

// profiler makes a profile.
type profiler struct {
	symbols   *gosym.Table
	profile   profile.Profile
	functions map[string]*profile.Function
}

func newProfile(symbols *gosym.Table) *profiler {
	unit := &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}
	return &profiler{symbols, profile.Profile{SampleType: []*profile.ValueType{unit}, PeriodType: unit, Period: 1, Mapping: []*profile.Mapping{{ID: 1}}}, map[string]*profile.Function{}}
}

// add puts the most of the time into a call.
func (p *profiler) add(caller *gosym.Func, pc uint64, callee *gosym.Func) {
	const second = 1e9
	p.profile.Sample = append(p.profile.Sample, &profile.Sample{
		Value: []int64{second}, Location: []*profile.Location{p.location(callee, callee.Entry), p.location(caller, pc)},
	})
}

func (p *profiler) location(f *gosym.Func, pc uint64) *profile.Location {
	_, line, _ := p.symbols.PCToLine(pc)
	l := &profile.Location{
		ID: uint64(len(p.profile.Location) + 1), Mapping: p.profile.Mapping[0], Address: pc,
		Line: []profile.Line{{Function: p.function(f), Line: int64(line)}},
	}
	p.profile.Location = append(p.profile.Location, l)
	return l
}

func (p *profiler) function(f *gosym.Func) *profile.Function {
	if known := p.functions[f.Name]; known != nil {
		return known
	}
	_, line, _ := p.symbols.PCToLine(f.Entry)
	made := &profile.Function{ID: uint64(len(p.functions) + 1), Name: f.Name, SystemName: f.Name, StartLine: int64(line)}
	p.functions[f.Name] = made
	p.profile.Function = append(p.profile.Function, made)
	return made
}

func (p *profiler) write(path string) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := p.profile.Write(out); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
