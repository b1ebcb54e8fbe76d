package e2e

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/plan"
	"github.com/remora-agent/remora/internal/testenv"
	"github.com/remora-agent/remora/probes/all"
	"github.com/remora-agent/remora/process"
)

var attachments = flag.Int("attachments", 200, "how `many` times TestSteerAttachments attaches and detaches under load")

// TestSteerAttachments: programs that stay loaded are attached and detached 200 times, as the agent does it, while requests and calls are on their way. A
// header is whole or not there, and nothing fails.
func TestSteerAttachments(t *testing.T) {
	for i, spec := range injectBuilds("testdata/xnet") {
		t.Run("http/"+spec.String(), func(t *testing.T) {
			target, _ := steered(t, spec)
			attachOften(t, target, testenv.Build(t, spec), func() { sendAll(t, target, 20, 1, 0) })
		})
		b := relayBuilds()[i]
		t.Run("grpc/"+b.spec.String(), func(t *testing.T) {
			target, _ := steered(t, b.spec)
			upstream := testenv.StartTarget(t, testenv.Build(t, b.spec), nil)
			attachOften(t, target, testenv.Build(t, b.spec), func() { callAll(t, target, upstream, 5, 0) })
		})
	}
}

// attachOften attaches everything to the target and detaches it, for short, under load.
func attachOften(t *testing.T, target *testenv.Target, bin string, load func()) {
	t.Helper()
	k := bpf.Probe()
	runtime, err := bpf.Open(bpf.Options{
		RingBytes: 1 << 20, InFlight: 10000, UprobeMulti: true, AttachCookie: true, Inject: true, Steer: true, RegisterWrites: k.RegisterWrites() == nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer runtime.Close()
	reader, err := runtime.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	probes := loadSteering(t, runtime, bin)
	spans, most := 0, time.Duration(0)
	underLoad(t, target, load, func() {
		for i := range *attachments {
			begin := time.Now()
			id := uint32(i + 1)
			attached, err := probes.attach(bin, target.PID, id)
			time.Sleep(testenv.Patient(10 * time.Millisecond))
			stalled, drained := runtime.Drain(id)
			for _, a := range slices.Backward(attached) { // the beginning first
				err = errors.Join(err, a.Close())
			}
			_, forgotten := runtime.Forget(id)
			if err := errors.Join(err, drained, forgotten); err != nil || stalled > 0 {
				t.Fatalf("round %d: %d headers stalled, %v", i, stalled, err)
			}
			if err := reader.Drain(func([]byte) { spans++ }); err != nil {
				t.Fatal(err)
			}
			most = max(most, time.Since(begin))
		}
	})
	losses, err := runtime.Losses()
	t.Logf("%d spans, lost: %+v; a round took %v at most", spans, losses, most)
	if err != nil || spans == 0 {
		t.Errorf("%d spans, %v: want some", spans, err)
	}
}

// steering is what of a program's probes is attached, with its places.
type steering []struct {
	plan.Plan
	*bpf.Programs
}

func loadSteering(t *testing.T, runtime *bpf.Runtime, bin string) steering {
	t.Helper()
	binary, err := process.Open(bin)
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	var s steering
	for i, p := range plan.All(binary, all.Probes()) {
		if p.Err != nil {
			continue
		}
		p.Choose(bpf.Mechanisms{Steer: true})
		spec, err := p.Probe.Spec()
		if err != nil {
			t.Fatal(err)
		}
		programs, err := runtime.Load(spec, uint32(i), p.Constants, p.Without())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { programs.Close() })
		s = append(s, struct {
			plan.Plan
			*bpf.Programs
		}{p, programs})
	}
	return s
}

// attach attaches all programs, the last one first. What it has attached is to be closed, error or not.
func (s steering) attach(bin string, pid int, id uint32) ([]bpf.Attachment, error) {
	var attached []bpf.Attachment
	for _, probe := range s {
		for _, program := range slices.Backward(probe.Plan.Programs) {
			if program.Err != nil {
				continue
			}
			var offsets []uint64
			for _, p := range program.Points {
				offsets = append(offsets, p.Offset)
			}
			a, err := probe.Attach(program.Name, bin, pid, offsets, id)
			if err != nil {
				return attached, fmt.Errorf("%s: %w", probe.Probe.Name, err)
			}
			attached = append(attached, a)
		}
	}
	return attached, nil
}
