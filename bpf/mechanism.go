package bpf

import (
	"errors"
	"fmt"
)

// Mechanisms are the ways in which trace context may come into the requests of traced programs; see docs/injection.md. A probe
// that can do both steers.
type Mechanisms struct {
	Steer bool // by the program's own functions, which uprobes make it call: needs Kernel.RegisterWrites
	Write bool // by writing into its buffers: needs Kernel.UserWrites
}

// Any reports whether there is a way.
func (m Mechanisms) Any() bool { return m.Steer || m.Write }

// Mechanisms returns those of the wanted mechanisms ("auto" or "", "steer", "write", "none") that the kernel has. The first error says
// why none of them is to be had; the second, that there is no such wish.
func (k Kernel) Mechanisms(wanted string) (has Mechanisms, cannot, unknown error) {
	switch wanted {
	case "none":
		return Mechanisms{}, nil, nil
	case "steer":
		cannot = k.RegisterWrites()
		return Mechanisms{Steer: cannot == nil}, cannot, nil
	case "write":
		cannot = k.UserWrites()
		return Mechanisms{Write: cannot == nil}, cannot, nil
	case "", "auto":
		steer, write := k.RegisterWrites(), k.UserWrites()
		has = Mechanisms{Steer: steer == nil, Write: write == nil}
		if !has.Any() {
			cannot = errors.Join(steer, write)
		}
		return has, cannot, nil
	}
	return Mechanisms{}, nil, fmt.Errorf("unknown mechanism %q: want auto, steer, write or none", wanted)
}
