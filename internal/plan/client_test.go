package plan

import (
	"testing"

	"github.com/remora-agent/remora/internal/testenv"
	"github.com/remora-agent/remora/probes/nethttp"
	"github.com/remora-agent/remora/process"
)

// TestClientPlan: what nearly every call costs is emulated in programs of all versions. Only returns after an error may be stepped.
func TestClientPlan(t *testing.T) {
	for _, version := range []string{"1.18.10", "1.21.13", "1.24.13", "1.26.8", "1.27.4"} {
		t.Run(version, func(t *testing.T) {
			p := Make(server(t, testenv.BuildSpec{Go: version, Stripped: true}), nethttp.Client())
			if p.Err != nil {
				t.Fatal(p.Err)
			}
			checkConstants(t, p)
			for _, program := range p.Programs {
				if program.Err != nil {
					t.Errorf("%s: %v", program.Name, program.Err)
					continue
				}
				if first := program.Points[0]; first.Cost != process.Emulated {
					t.Errorf("%s: %s at %#x is %v: %s", program.Name, first.Asm, first.Addr, first.Cost, first.Why)
				}
				if program.Name == "round_trip_return" && program.Points[0].Why != "check of the error behind the call" {
					t.Errorf("%s: the first point is %q", program.Name, program.Points[0].Why)
				}
			}
			if stream := p.has("stream"); stream != (version == "1.18.10") {
				t.Errorf("the program for streams is there: %t", stream)
			}
		})
	}
}

func (p *Plan) has(name string) bool {
	for _, program := range p.Programs {
		if program.Name == name {
			return true
		}
	}
	return false
}
