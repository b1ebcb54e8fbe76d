package agent

import (
	"testing"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/testenv"
	"github.com/remora-agent/remora/probes/all"
)

// TestRefusedInjection: a kernel that refuses the programs for trace context takes the others of the same probe.
func TestRefusedInjection(t *testing.T) {
	testenv.RequireRoot(t)
	k := bpf.Probe()
	if k.RegisterWrites() == nil {
		t.Skip("this kernel refuses none of the programs")
	}
	inject := bpf.Mechanisms{Steer: true}
	runtime, err := bpf.Open(bpf.Options{
		RingBytes: 1 << 16, InFlight: 100, Inject: true, Steer: true,
		UprobeMulti: k.UprobeMulti() == nil, AttachCookie: k.AttachCookie() == nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer runtime.Close()
	list := all.Probes()
	path := testenv.Build(t, testenv.BuildSpec{Dir: "../../test/matrix/testdata/libraries", Go: "1.27.4", Stripped: true})
	p := newPrograms(runtime, list, inject)
	b, err := p.acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	defer p.release(b)
	refused := 0
	for i, l := range b.probes {
		if l.err != nil && l.linked() {
			t.Errorf("%s: %v", list[i].Name, l.err)
		}
		for _, program := range l.plan.Programs {
			if program.InsteadOf == "" {
				continue
			}
			refused++
			if program.Err == nil {
				t.Errorf("%s: program %s has no reason to be left out", list[i].Name, program.Name)
			}
		}
	}
	if refused == 0 {
		t.Error("no program steers: nothing was tried")
	}
}
