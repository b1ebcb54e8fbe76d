package agent

import (
	"errors"
	"time"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/plan"
)

const (
	trialHits    = 200              // spare hits without a needed one end a trial
	trialBackoff = 2 * time.Second  // before the next trial, doubled each time
	trialMost    = 10 * time.Minute // between two trials
)

// trial decides whether a program is worth its trap in the processes of one binary: see probes.Trial.
type trial struct {
	program plan.Program
	bpf     attacher
	places  map[uint32]*place // by target

	off                  bool
	again                time.Time     // no earlier trial than this
	backoff              time.Duration // until again, next time
	needed, spare, atOff uint64        // counters when the trial began, and the missed when it ended
}

// attacher is what a trial needs of bpf.Programs.
type attacher interface {
	Attach(program, exe string, pid int, offsets []uint64, target uint32) (bpf.Attachment, error)
	Counter(name string) (uint64, error)
}

// place is where a program on trial is attached, or will be again.
type place struct {
	exe     string
	pid     int
	target  uint32
	offsets []uint64
	at      bpf.Attachment
}

func newTrial(program plan.Program, programs attacher) *trial {
	return &trial{program: program, bpf: programs, places: map[uint32]*place{}, backoff: trialBackoff}
}

// join attaches the program for one more target, unless it is off now.
func (t *trial) join(p *place) error {
	t.places[p.target] = p
	if t.off {
		return nil
	}
	return t.attach(p)
}

func (t *trial) attach(p *place) (err error) {
	p.at, err = t.bpf.Attach(t.program.Name, p.exe, p.pid, p.offsets, p.target)
	return err
}

// leave detaches the program from a target.
func (t *trial) leave(target uint32) error {
	p, ok := t.places[target]
	if !ok {
		return nil
	}
	delete(t.places, target)
	return p.at.Close()
}

// judge ends a trial that showed no need, and begins one when something was missed since.
func (t *trial) judge() error {
	names := t.program.Trial
	needed, err1 := t.bpf.Counter(names.Needed)
	spare, err2 := t.bpf.Counter(names.Spare)
	missed, err3 := t.bpf.Counter(names.Missed)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	switch {
	case !t.off && needed == t.needed && spare >= t.spare+trialHits:
		t.off, t.atOff = true, missed
		t.again = time.Now().Add(t.backoff)
		t.backoff = min(2*t.backoff, trialMost)
		var errs []error
		for _, p := range t.places {
			errs = append(errs, p.at.Close())
			p.at = nil
		}
		return errors.Join(errs...)
	case t.off && missed > t.atOff && time.Now().After(t.again):
		t.off, t.needed, t.spare = false, needed, spare
		var errs []error
		for _, p := range t.places {
			errs = append(errs, t.attach(p))
		}
		return errors.Join(errs...)
	}
	return nil
}
