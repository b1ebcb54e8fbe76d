package inside

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/plan"
	"github.com/remora-agent/remora/internal/testenv"
	"github.com/remora-agent/remora/probes/all"
	"github.com/remora-agent/remora/process"
)

// TestVerifier loads every probe's programs with the constants of each fixture, and logs what they cost the verifier.
func TestVerifier(t *testing.T) {
	testenv.RequireRoot(t)
	k := bpf.Probe()
	has, _, err := k.Mechanisms("auto")
	if err != nil {
		t.Fatal(err)
	}
	runtime, err := bpf.Open(bpf.Options{
		RingBytes:      1 << 16,
		InFlight:       100,
		UprobeMulti:    k.UprobeMulti() == nil,
		AttachCookie:   k.AttachCookie() == nil,
		Inject:         has.Any(),
		Steer:          has.Steer,
		RegisterWrites: k.RegisterWrites() == nil,
		Sampling:       bpf.Sampling{Root: bpf.SamplerRatio, Threshold: 1 << 62, ParentBased: 1},
		Verified:       true,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer runtime.Close()
	for _, version := range goVersions() {
		t.Run("go"+version, func(t *testing.T) {
			spec := testenv.BuildSpec{Dir: "../../matrix/testdata/libraries", Go: version, Stripped: true}
			loadAll(t, has, runtime, testenv.Build(t, spec))
		})
	}
}

// loadAll loads the probes of a program that has all libraries; what only comes with newer versions of them may be missing.
func loadAll(t *testing.T, has bpf.Mechanisms, runtime *bpf.Runtime, path string) {
	binary, err := process.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	for i, probe := range all.Probes() {
		p := plan.Make(binary, probe)
		if errors.Is(p.Err, plan.ErrNotLinked) {
			t.Logf("%s: not in this program", probe.Name)
			continue
		}
		if p.Err != nil {
			t.Errorf("%s: %v", probe.Name, p.Err)
			continue
		}
		p.Choose(has)
		spec, err := probe.Spec()
		if err != nil {
			t.Fatal(err)
		}
		programs, err := runtime.Load(spec, uint32(i), p.Constants, p.Without())
		if err != nil {
			t.Errorf("%s: %v", probe.Name, err)
			if refused := (*ebpf.VerifierError)(nil); errors.As(err, &refused) {
				t.Logf("%+v", refused) // the whole log
			}
			continue
		}
		counts := programs.Verified()
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			t.Logf("verifier: %s %s %d instructions", probe.Name, name, counts[name])
		}
		if private, err := programs.PrivateStacks(); err != nil || len(private) > 0 {
			t.Errorf("%s: with a private stack: %v, %v", probe.Name, private, err)
		}
		programs.Close()
	}
}
