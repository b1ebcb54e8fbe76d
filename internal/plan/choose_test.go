package plan

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/testenv"
	"github.com/remora-agent/remora/probes"
	"github.com/remora-agent/remora/probes/nethttp"
)

func TestChoose(t *testing.T) {
	missing := errors.New("missing")
	steer := func(name, of string) probes.Program {
		return probes.Program{Name: name, Injects: true, Steers: true, InsteadOf: of}
	}
	for _, tt := range []struct {
		name       string
		by         bpf.Mechanisms
		noSteering error
		unplaced   string
		want       []string
	}{
		{"none", bpf.Mechanisms{}, nil, "", []string{"call"}},
		{"write", bpf.Mechanisms{Write: true}, nil, "", []string{"call", "stream", "write1", "write2", "write3"}},
		{"steer", bpf.Mechanisms{Steer: true}, nil, "", []string{"call", "stream", "steer1", "steer1return", "steer2"}},
		{"both", bpf.Mechanisms{Steer: true, Write: true}, nil, "", []string{"call", "stream", "steer1", "steer1return", "steer2", "write3"}},
		{"part of a steering cannot be placed", bpf.Mechanisms{Steer: true, Write: true}, nil, "steer1return",
			[]string{"call", "stream", "write1", "steer2", "write3"}},
		{"no pieces", bpf.Mechanisms{Steer: true, Write: true}, missing, "", []string{"call", "stream", "write1", "write2", "write3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := Plan{NoSteering: tt.noSteering}
			for _, program := range []probes.Program{
				{Name: "call"}, {Name: "stream", Injects: true, Steers: true},
				{Name: "write1", Injects: true}, steer("steer1", "write1"), steer("steer1return", "write1"),
				{Name: "write2", Injects: true}, steer("steer2", "write2"), {Name: "write3", Injects: true},
			} {
				placed := Program{Program: program}
				if program.Name == tt.unplaced {
					placed.Err = missing
				}
				p.Programs = append(p.Programs, placed)
			}
			all := len(p.Programs)
			p.Choose(tt.by)
			var names []string
			for _, program := range p.Programs {
				names = append(names, program.Name)
			}
			if diff := cmp.Diff(tt.want, names); diff != "" {
				t.Error(diff)
			}
			if len(p.Without()) != all-len(names) {
				t.Errorf("left out: %v", p.Without())
			}
		})
	}
}

// TestSteeringPlan: in programs of all versions, requests are steered by probes that are emulated.
func TestSteeringPlan(t *testing.T) {
	for _, version := range []string{"1.18.10", "1.21.13", "1.24.13", "1.26.8", "1.27.4"} {
		t.Run("go"+version, func(t *testing.T) {
			b := open(t, "../../test/e2e/testdata/httpclient", testenv.BuildSpec{Go: version, Stripped: true})
			p := Make(b, nethttp.Client())
			if p.Err != nil || p.NoSteering != nil {
				t.Fatal(p.Err, p.NoSteering)
			}
			p.Choose(bpf.Mechanisms{Steer: true})
			steers := 0
			for _, s := range summary(p) {
				i := slices.IndexFunc(p.Programs, func(program Program) bool { return program.Name == s.Name })
				if p.Programs[i].InsteadOf == "" {
					continue
				}
				steers++
				if len(s.Costs) != 1 || s.Costs[0].String() != "emulated" {
					t.Errorf("%+v: want one point that is emulated", s)
				}
			}
			if steers != 5 {
				t.Errorf("%d programs steer, want 5: %+v", steers, summary(p))
			}
		})
	}
}

// TestRefuseInjection: what injects is left out for the reason, and what could not be placed keeps its own.
func TestRefuseInjection(t *testing.T) {
	missing, refused := errors.New("missing"), errors.New("refused")
	p := Plan{Programs: []Program{
		{Program: probes.Program{Name: "call"}},
		{Program: probes.Program{Name: "steer", Injects: true, Steers: true}},
		{Program: probes.Program{Name: "unplaced", Injects: true}, Err: missing},
	}}
	if !p.RefuseInjection(refused) {
		t.Error("there was a program to refuse")
	}
	if p.RefuseInjection(refused) {
		t.Error("there was none left")
	}
	if diff := cmp.Diff([]string{"steer", "unplaced"}, p.Without()); diff != "" {
		t.Error(diff)
	}
	if !errors.Is(p.Programs[1].Err, refused) || !errors.Is(p.Programs[2].Err, missing) {
		t.Errorf("the reasons are %v and %v", p.Programs[1].Err, p.Programs[2].Err)
	}
}
