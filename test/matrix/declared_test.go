package matrix

import (
	"maps"
	"slices"

	"github.com/remora-agent/remora/probes"
	"github.com/remora-agent/remora/probes/all"
)

// declared is the union of what the probes want to know of a binary.
type declared struct {
	functions map[string]bool // names, or patterns with "*" at their end
	fields    map[probes.Field]bool
	sizes     map[string]bool // of types
	types     map[string]bool
	itabs     map[itab]bool
}

type itab struct{ iface, concrete string }

func declarations() declared {
	d := declared{map[string]bool{}, map[probes.Field]bool{}, map[string]bool{}, map[string]bool{}, map[itab]bool{}}
	for _, probe := range all.Probes() {
		if probe.Needs != "" {
			d.functions[probe.Needs] = true
		}
		for _, program := range probe.Programs {
			if program.Unless != (probes.Field{}) {
				d.fields[program.Unless] = true
			}
			for _, site := range program.Sites {
				d.addSite(site)
			}
		}
		for _, c := range probe.Constants {
			d.addSource(c.Of)
		}
	}
	return d
}

func (d *declared) addSite(site probes.Site) {
	for _, name := range append([]string{site.Func, site.Calls, site.At}, site.After...) {
		if name != "" {
			d.functions[name] = true
		}
	}
}

// addSource passes over maps and contexts: package process compares the layouts of maps with DWARF itself, and the types that
// are contexts are not declared by name.
func (d *declared) addSource(source probes.Source) {
	switch of := source.(type) {
	case probes.Field:
		d.fields[of] = true
	case probes.Fields:
		for _, f := range of {
			d.fields[f] = true
		}
	case probes.Size:
		d.sizes[string(of)] = true
	case probes.Returns:
		for _, call := range of {
			d.functions[call.Func] = true
		}
	case probes.Types:
		for _, name := range of {
			d.types[name] = true
		}
	case probes.Itabs:
		for _, concrete := range of.Concrete {
			d.itabs[itab{of.Interface, concrete}] = true
		}
	}
}

// structs are the names of the types whose layout matters.
func (d *declared) structs() []string {
	names := maps.Clone(d.sizes)
	for f := range d.fields {
		names[f.Type] = true
	}
	return slices.Sorted(maps.Keys(names))
}
