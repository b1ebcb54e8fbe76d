package plan

import (
	"slices"
	"testing"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/testenv"
	"github.com/remora-agent/remora/probes/grpc"
	"github.com/remora-agent/remora/process"
)

// TestGRPCSteeringPlan: in programs of all versions of gRPC, requests are steered. The probe that each of them comes by is emulated; at the other one,
// the program goes on elsewhere whenever a request is steered.
func TestGRPCSteeringPlan(t *testing.T) {
	for _, v := range []struct{ version, toolchain string }{
		{"", "1.27.4"}, {"1.80", "1.26.8"}, {"1.77", "1.25.8"}, {"1.72", "1.24.13"}, {"1.70", "1.23.12"}, {"1.69", "1.22.12"},
		{"1.64", "1.22.12"}, {"1.60", "1.21.13"}, {"1.55", "1.20.14"}, {"1.50", "1.20.14"}, {"1.40", "1.18.10"},
	} {
		for _, arch := range []string{"amd64", "arm64"} {
			spec := testenv.BuildSpec{Go: v.toolchain, Arch: arch, Stripped: true}
			if v.version != "" {
				spec.ModFile = "grpc-" + v.version + ".mod"
			}
			t.Run(spec.String(), func(t *testing.T) {
				checkSteered(t, Make(open(t, "../../test/e2e/testdata/grpc", spec), grpc.Client()))
			})
		}
	}
}

func checkSteered(t *testing.T, p Plan) {
	t.Helper()
	if p.Err != nil || p.NoSteering != nil {
		t.Fatal(p.Err, p.NoSteering)
	}
	p.Choose(bpf.Mechanisms{Steer: true, Write: true})
	want := map[string][]process.Cost{"steer_request": {process.Emulated}, "steer_request_failed": nil}
	for _, s := range summary(p) {
		i := slices.IndexFunc(p.Programs, func(program Program) bool { return program.Name == s.Name })
		if p.Programs[i].Injects && p.Programs[i].InsteadOf == "" {
			t.Errorf("%s: is there although requests can be steered", s.Name)
		}
		costs, ok := want[s.Name]
		if !ok {
			continue
		}
		delete(want, s.Name)
		if len(s.Costs) != 1 || costs != nil && !slices.Equal(costs, s.Costs) {
			t.Errorf("%+v: want one point that costs %v", s, costs)
		}
	}
	if len(want) > 0 {
		t.Errorf("not there: %v; %v", want, p.Without())
	}
	returns, ok := p.Constants["request_returns"].(bpf.AddrSet)
	if !ok || returns.N != 1 {
		t.Errorf("requests are written by %+v, want one place", returns)
	}
}
