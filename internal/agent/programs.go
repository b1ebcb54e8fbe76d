package agent

import (
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/plan"
	"github.com/remora-agent/remora/probes"
	"github.com/remora-agent/remora/process"
)

// programs are the BPF programs by the binary whose constants they have. All processes of a binary share them.
type programs struct {
	runtime  *bpf.Runtime
	probes   []probes.Probe
	inject   bpf.Mechanisms
	binaries map[process.FileID]*binary
}

// binary is one analysed executable with its loaded programs.
type binary struct {
	*process.Binary
	users  int
	probes []loaded
}

// loaded is one probe for one binary. Err: it is off.
type loaded struct {
	plan   plan.Plan
	bpf    *bpf.Programs
	trials []*trial
	err    error
}

func newPrograms(runtime *bpf.Runtime, list []probes.Probe, inject bpf.Mechanisms) *programs {
	return &programs{runtime: runtime, probes: list, inject: inject, binaries: map[process.FileID]*binary{}}
}

// acquire returns the programs for the executable at path; release them once for each acquire.
func (p *programs) acquire(path string) (*binary, error) {
	file, err := process.Open(path)
	if err != nil {
		return nil, err
	}
	if b, ok := p.binaries[file.ID]; ok {
		b.users++
		return b, file.Close()
	}
	b := &binary{Binary: file, users: 1}
	for i, plan := range plan.All(file, p.probes) {
		b.probes = append(b.probes, p.load(uint32(i), plan))
	}
	p.binaries[file.ID] = b
	return b, nil
}

// load fails per probe, never for the binary.
func (p *programs) load(index uint32, plan plan.Plan) loaded {
	l := loaded{plan: plan}
	if l.err = l.plan.Err; l.err != nil {
		return l
	}
	spec, err := plan.Probe.Spec()
	if err != nil {
		l.err = fmt.Errorf("cannot read the compiled programs: %w", err)
		return l
	}
	l.plan.Choose(p.inject)
	l.bpf, l.err = p.runtime.Load(spec, index, l.plan.Constants, l.plan.Without())
	if l.err != nil && l.plan.RefuseInjection(l.err) { // rather spans without trace context in requests than none
		l.bpf, l.err = p.runtime.Load(spec, index, l.plan.Constants, l.plan.Without())
	}
	for _, program := range l.plan.Programs {
		if l.err == nil && program.Err == nil && program.Trial != nil {
			l.trials = append(l.trials, newTrial(program, l.bpf))
		}
	}
	return l
}

func (p *programs) release(b *binary) error {
	if b.users--; b.users > 0 {
		return nil
	}
	delete(p.binaries, b.ID)
	for _, l := range b.probes {
		if l.bpf != nil {
			l.bpf.Close()
		}
	}
	return b.Close()
}

// tryAll looks at every program that is on trial.
func (p *programs) tryAll(log *zap.Logger) {
	for _, b := range p.binaries {
		for _, l := range b.probes {
			for _, t := range l.trials {
				if err := t.judge(); err != nil {
					log.Warn("cannot judge a probe on trial", zap.String("program", t.program.Name), zap.Error(err))
				}
			}
		}
	}
}

// linked says whether the binary has the probe's library at all.
func (l *loaded) linked() bool { return !errors.Is(l.err, plan.ErrNotLinked) }
