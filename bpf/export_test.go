package bpf

import "github.com/cilium/ebpf"

// VerifiedInstructions returns how many instructions the verifier walked through for each program; nil below kernel 5.16.
func (p *Programs) VerifiedInstructions() (map[string]uint32, error) {
	n := map[string]uint32{}
	for name, prog := range p.coll.Programs {
		info, err := prog.Info()
		if err != nil {
			return nil, err
		}
		if count, ok := info.VerifiedInstructions(); ok {
			n[name] = count
		}
	}
	return n, nil
}

// InFlight returns how many operations the kernel side knows.
func (r *Runtime) InFlight() (n int) {
	var key SpanKey
	var place uint32
	for it := r.shared.Places.Iterate(); it.Next(&key, &place); {
		n++
	}
	return n
}

// Contexts returns how many contexts the kernel side knows.
func (r *Runtime) Contexts() (n int) {
	var key ContextKey
	var place uint32
	for it := r.shared.Contexts.Iterate(); it.Next(&key, &place); {
		n++
	}
	return n
}

// AgentEnded is the map that says whether the agent has ended.
func (r *Runtime) AgentEnded() *ebpf.Map { return r.shared.AgentEnded }

// TakeFreePlaces takes all places that are nobody's, and returns how many different ones there were.
func (r *Runtime) TakeFreePlaces() int {
	taken := map[uint32]bool{}
	var place uint32
	for r.shared.FreePlaces.LookupAndDelete(nil, &place) == nil {
		taken[place] = true
	}
	return len(taken)
}

// IsDraining says whether no header is begun in a target.
func (r *Runtime) IsDraining(target uint32) bool {
	var value uint32
	return r.shared.Draining.Lookup(target, &value) == nil
}
