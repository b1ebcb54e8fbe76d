package agent

import (
	"errors"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/plan"
	"github.com/remora-agent/remora/probes"
)

// fakePrograms counts what is attached, and counts what a test says.
type fakePrograms struct {
	needed, spare, missed uint64
	attached              map[uint32]int // by target
	err                   error
}

type fakeLink struct {
	link.Link
	close func()
}

func (l fakeLink) Close() error { l.close(); return nil }

func (f *fakePrograms) Attach(_, _ string, _ int, _ []uint64, target uint32) (bpf.Attachment, error) {
	if f.err != nil {
		return nil, f.err
	}
	f.attached[target]++
	return bpf.Attachment{fakeLink{close: func() { f.attached[target]-- }}}, nil
}

func (f *fakePrograms) Counter(name string) (uint64, error) {
	switch name {
	case "needed":
		return f.needed, f.err
	case "spare":
		return f.spare, f.err
	}
	return f.missed, f.err
}

func onTrial(t *testing.T, targets ...uint32) (*trial, *fakePrograms) {
	t.Helper()
	f := &fakePrograms{attached: map[uint32]int{}}
	tr := newTrial(plan.Program{Program: probes.Program{
		Name: "it", Trial: &probes.Trial{Needed: "needed", Spare: "spare", Missed: "missed"},
	}}, f)
	for _, target := range targets {
		if err := tr.join(&place{target: target}); err != nil {
			t.Fatal(err)
		}
	}
	return tr, f
}

// judge judges, and says where the program is attached then.
func judge(t *testing.T, tr *trial, f *fakePrograms) map[uint32]int {
	t.Helper()
	if err := tr.judge(); err != nil {
		t.Fatal(err)
	}
	return f.attached
}

func TestTrialEnds(t *testing.T) {
	on, off := map[uint32]int{1: 1, 2: 1}, map[uint32]int{1: 0, 2: 0}
	tests := []struct {
		name                  string
		needed, spare, missed uint64
		want                  map[uint32]int
	}{
		{"nothing happened", 0, 0, 0, on},
		{"too few hits to tell", 0, trialHits - 1, 0, on},
		{"enough, none needed", 0, trialHits, 0, off},
		{"one was needed", 1, 10 * trialHits, 0, on},
		{"misses do not end it", 0, 0, 1000, on},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr, f := onTrial(t, 1, 2)
			f.needed, f.spare, f.missed = tt.needed, tt.spare, tt.missed
			if diff := cmp.Diff(tt.want, judge(t, tr, f)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTrialBeginsAgain(t *testing.T) {
	tr, f := onTrial(t, 1)
	f.spare, f.missed = trialHits, 7
	off, on := map[uint32]int{1: 0}, map[uint32]int{1: 1}
	steps := []struct {
		name   string
		change func()
		want   map[uint32]int
	}{
		{"ended", func() {}, off},
		{"time alone is no reason", func() { tr.again = time.Now().Add(-time.Second) }, off},
		{"missed, but too early", func() { f.missed++; tr.again = time.Now().Add(time.Hour) }, off},
		{"missed and late enough", func() { tr.again = time.Now().Add(-time.Second) }, on},
		{"earlier hits do not count", func() { f.spare += trialHits - 1 }, on},
		{"ended once more", func() { f.spare++ }, off},
		{"its misses count from its end", func() { tr.again = time.Now().Add(-time.Second) }, off},
		{"and again", func() { f.missed++ }, on},
		{"now it is needed: it stays", func() { f.needed++; f.spare += 100 * trialHits }, on},
	}
	for _, step := range steps {
		step.change()
		if diff := cmp.Diff(step.want, judge(t, tr, f)); diff != "" {
			t.Fatalf("%s: %s", step.name, diff)
		}
	}
}

// Trials become rarer, but never stop.
func TestTrialBackoff(t *testing.T) {
	tr, f := onTrial(t, 1)
	var last time.Duration
	for range 20 {
		f.spare += trialHits
		judge(t, tr, f)
		wait := time.Until(tr.again)
		if wait < last-time.Second || wait > trialMost {
			t.Fatalf("the next trial is in %s, the last one was in %s", wait, last)
		}
		last = wait
		f.missed++
		tr.again = time.Now().Add(-time.Second)
		judge(t, tr, f)
	}
	if last < trialMost-time.Minute {
		t.Errorf("after 20 trials the next one is in %s", last)
	}
}

// Targets come and go, on trial or off.
func TestTrialTargets(t *testing.T) {
	tr, f := onTrial(t, 1)
	f.spare = trialHits
	judge(t, tr, f)
	if err := tr.join(&place{target: 2}); err != nil {
		t.Fatal(err)
	}
	if f.attached[2] != 0 {
		t.Error("attached to a new target though it is off")
	}
	f.missed++
	tr.again = time.Now().Add(-time.Second)
	if diff := cmp.Diff(map[uint32]int{1: 1, 2: 1}, judge(t, tr, f)); diff != "" {
		t.Error(diff)
	}
	for range 2 { // the second time there is nothing to leave
		if err := tr.leave(1); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[uint32]int{1: 0, 2: 1}, f.attached); diff != "" {
		t.Error(diff)
	}
}

func TestTrialErrors(t *testing.T) {
	tr, f := onTrial(t, 1)
	f.err = errors.New("no")
	if err := tr.judge(); !errors.Is(err, f.err) {
		t.Error(err)
	}
	if err := tr.join(&place{target: 2}); !errors.Is(err, f.err) {
		t.Error(err)
	}
	f.err = nil
	if err := tr.leave(2); err != nil { // never attached
		t.Error(err)
	}
}
