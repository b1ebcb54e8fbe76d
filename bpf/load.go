package bpf

import (
	"errors"
	"fmt"
	"math/bits"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
)

// Options of the kernel side.
type Options struct {
	RingBytes    int  // size of the ring buffer; rounded up to a power of two and a page
	InFlight     int  // operations that can be under way at once
	UprobeMulti  bool // the kernel has it and filters by process
	AttachCookie bool // the kernel has it for uprobes
	Inject       bool // programs may bring trace context into the target's requests
	Steer        bool // they may do so by registers
	// RegisterWrites: the kernel has them. Programs then carry out the RET that they sit on.
	RegisterWrites bool
	Faults         Faults // what is to fail, for tests
	Verified       bool   // ask the verifier what each program costs it: for Programs.Verified
	Sampling       Sampling
}

// Runtime holds what all programs share: the ring buffer and the counters.
type Runtime struct {
	opts     Options
	shared   sharedMaps
	tailCall bool // the kernel takes the one that keeps it from giving programs private stacks
	ending   *ending
}

// Open creates the shared maps. The error says which right is missing if that is the cause.
func Open(opts Options) (*Runtime, error) {
	opts.RingBytes = ringSize(opts.RingBytes)
	spec, err := loadShared()
	if err != nil {
		return nil, err
	}
	// Kernels before 5.11 count BPF memory against this limit; later ones do not need it, and it may not be ours to raise.
	if err := rlimit.RemoveMemlock(); err != nil && !errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("cannot raise the limit of locked memory: %w (grant CAP_SYS_RESOURCE)", err)
	}
	r := &Runtime{opts: opts, tailCall: acceptsTailCall()}
	r.resize(spec)
	if err := spec.LoadAndAssign(&r.shared, nil); err != nil {
		return nil, fmt.Errorf("cannot create BPF maps: %w (run as root, or grant CAP_BPF and CAP_PERFMON; `remora doctor` tells more)", err)
	}
	for place := range opts.InFlight {
		if err := r.free(uint32(place)); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	return r, nil
}

// resize sets the sizes of the shared maps: the same in every collection, or the kernel's are not taken for them.
func (r *Runtime) resize(spec *ebpf.CollectionSpec) {
	spec.Maps[sharedMapEvents].MaxEntries = uint32(r.opts.RingBytes)
	for _, name := range []string{sharedMapOperations, sharedMapPlaces, sharedMapFreePlaces, sharedMapCallers, sharedMapContexts} {
		if m, ok := spec.Maps[name]; ok {
			m.MaxEntries = uint32(r.opts.InFlight)
		}
	}
	if m, ok := spec.Maps[sharedMapSteerings]; ok && r.opts.Steer {
		m.MaxEntries = uint32(r.opts.InFlight)
	}
}

func ringSize(n int) int {
	n = max(n, os.Getpagesize())
	return 1 << bits.Len(uint(n-1))
}

// Close frees the shared maps.
func (r *Runtime) Close() error { return errors.Join(r.ending.Close(), r.shared.Close()) }

// Losses reads the kernel's counters.
func (r *Runtime) Losses() (Losses, error) {
	var l Losses
	for kind := sharedLoss(0); kind < sharedLossLOSS_COUNT; kind++ {
		var perCPU []uint64
		if err := r.shared.Losses.Lookup(uint32(kind), &perCPU); err != nil {
			return l, fmt.Errorf("cannot read the loss counters: %w", err)
		}
		var n uint64
		for _, v := range perCPU {
			n += v
		}
		l.set(kind, n)
	}
	return l, nil
}

// Programs are one probe's programs with the constants of one binary.
type Programs struct {
	runtime *Runtime
	coll    *ebpf.Collection
}

// Load loads a probe's programs. constants has a value for each constant of spec but the shared ones, by its C name;
// without names programs that are not to be loaded.
func (r *Runtime) Load(spec *ebpf.CollectionSpec, index uint32, constants map[string]any, without []string) (*Programs, error) {
	spec = spec.Copy()
	for _, name := range without {
		delete(spec.Programs, name)
	}
	r.resize(spec)
	if !r.opts.AttachCookie {
		if err := distinct(constants); err != nil {
			return nil, err
		}
	}
	shared := map[string]any{
		sharedVarProbeIndex:      index,
		sharedVarHasAttachCookie: boolean(r.opts.AttachCookie),
		sharedVarIdleMax:         uint64(r.opts.InFlight / 4),
		sharedVarSampler:         r.opts.Sampling,
		sharedVarInjectEnabled:   boolean(r.opts.Inject),
	}
	if _, ok := spec.Variables[sharedVarMayWriteRegisters]; ok {
		shared[sharedVarMayWriteRegisters] = boolean(r.opts.RegisterWrites)
	}
	if _, ok := spec.Variables[sharedVarFaults]; ok {
		shared[sharedVarFaults] = r.opts.Faults
	}
	for _, values := range []map[string]any{shared, constants} {
		if err := setConstants(spec, values); err != nil {
			return nil, err
		}
	}
	if r.tailCall {
		withoutPrivateStacks(spec)
	}
	if r.opts.UprobeMulti {
		for _, p := range spec.Programs {
			p.AttachType = ebpf.AttachTraceUprobeMulti
		}
	}
	opts := ebpf.CollectionOptions{MapReplacements: r.sharedMaps(spec)}
	if r.opts.Verified {
		opts.Programs.LogLevel = ebpf.LogLevelStats
	}
	coll, err := ebpf.NewCollectionWithOptions(spec, opts)
	if err != nil {
		return nil, fmt.Errorf("the kernel refuses the BPF programs: %w", err)
	}
	return &Programs{runtime: r, coll: coll}, nil
}

// sharedMaps returns those of the shared maps that the programs use.
func (r *Runtime) sharedMaps(spec *ebpf.CollectionSpec) map[string]*ebpf.Map {
	maps := map[string]*ebpf.Map{
		sharedMapEvents:         r.shared.Events,
		sharedMapLosses:         r.shared.Losses,
		sharedMapOperations:     r.shared.Operations,
		sharedMapPlaces:         r.shared.Places,
		sharedMapFreePlaces:     r.shared.FreePlaces,
		sharedMapOperationCount: r.shared.OperationCount,
		sharedMapCallers:        r.shared.Callers,
		sharedMapPostponed:      r.shared.Postponed,
		sharedMapContexts:       r.shared.Contexts,
		sharedMapSeenWords:      r.shared.SeenWords,
		sharedMapServedAt:       r.shared.ServedAt,
		sharedMapFoundAt:        r.shared.FoundAt,
		sharedMapCallsByHeader:  r.shared.CallsByHeader,
		sharedMapSteerings:      r.shared.Steerings,
		sharedMapDraining:       r.shared.Draining,
		sharedMapAgentEnded:     r.shared.AgentEnded,
	}
	for name := range maps {
		if _, ok := spec.Maps[name]; !ok {
			delete(maps, name)
		}
	}
	return maps
}

// distinct refuses points that the programs could not tell apart: without cookies they know one by the bits of its address that do not
// depend on where the executable was loaded.
func distinct(constants map[string]any) error {
	for name, value := range constants {
		points, ok := value.(Points)
		if !ok {
			continue
		}
		seen := map[uint64]bool{}
		for _, p := range points.At[:points.N] {
			if seen[p.Addr&points.Fixed] {
				return fmt.Errorf("%s: two points of a PIE at the same place of a page (this needs attach cookies: Linux 5.15)", name)
			}
			seen[p.Addr&points.Fixed] = true
		}
	}
	return nil
}

func boolean(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// setConstants sets variables by their C names; each must exist.
func setConstants(spec *ebpf.CollectionSpec, values map[string]any) error {
	for name, value := range values {
		v, ok := spec.Variables[name]
		if !ok {
			return fmt.Errorf("the programs have no constant %q", name)
		}
		if err := v.Set(value); err != nil {
			return fmt.Errorf("cannot set the constant %q: %w", name, err)
		}
	}
	return nil
}

// Counter reads a 64-bit global variable of the programs.
func (p *Programs) Counter(name string) (uint64, error) {
	v, ok := p.coll.Variables[name]
	if !ok {
		return 0, fmt.Errorf("the programs have no variable %q", name)
	}
	var n uint64
	err := v.Get(&n)
	return n, err
}

// Close unloads the programs; links keep them until they are closed too.
func (p *Programs) Close() { p.coll.Close() }
