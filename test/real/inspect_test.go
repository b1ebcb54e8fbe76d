package real

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/remora-agent/remora/internal/inspect"
	"github.com/remora-agent/remora/internal/testenv"
	"github.com/remora-agent/remora/probes"
	"github.com/remora-agent/remora/probes/all"
	"github.com/remora-agent/remora/process"
)

// TestInspect asks `remora inspect` about every program. A probe of probes/all is either ready, with points that all have a
// kind, or its functions are indeed not in the file.
func TestInspect(t *testing.T) {
	for _, p := range programs() {
		t.Run(p.name, func(t *testing.T) {
			path := p.executable(t)
			report := inspected(t, path)
			contents, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var ready []string
			for i, probe := range all.Probes() {
				got := report.Probes[i]
				t.Logf("%s %s: %s: %s %s", report.GoVersion, probe.Name, got.State, got.Reason, costs(got))
				switch got.State {
				case inspect.Ready:
					ready = append(ready, probe.Name)
					checkReady(t, probe, got)
				case inspect.NotLinked:
					checkAbsent(t, contents, probe)
				default:
					t.Errorf("%s is %s: %s", probe.Name, got.State, got.Reason)
				}
			}
			for _, name := range p.require {
				if !slices.Contains(ready, name) {
					t.Errorf("%s is not ready", name)
				}
			}
		})
	}
}

func inspected(t *testing.T, path string) inspect.Report {
	t.Helper()
	stdout, stderr, code := testenv.Run(t, "inspect", "--json", path)
	if code != 0 {
		t.Fatalf("remora inspect ended with %d: %s", code, stderr)
	}
	var report inspect.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	if want := len(all.Probes()); len(report.Probes) != want {
		t.Fatalf("%d probes in the report, want %d", len(report.Probes), want)
	}
	return report
}

// checkReady: each program that the probe cannot do without has points, and every point says where it is. That it says
// what it costs, too, inspected has checked: no other word is read as a process.Cost.
func checkReady(t *testing.T, probe probes.Probe, got inspect.Probe) {
	t.Helper()
	for i, program := range got.Programs {
		if !probe.Programs[i].Optional && len(program.Points) == 0 {
			t.Errorf("%s: %s has no point: %s", probe.Name, program.Name, program.Reason)
		}
		for _, point := range program.Points {
			if point.Instruction == "" || point.Offset == 0 {
				t.Errorf("%s: %s has the point %+v", probe.Name, program.Name, point)
			}
		}
	}
}

// checkAbsent: the file has the name of no function that the probe cannot do without.
func checkAbsent(t *testing.T, contents []byte, probe probes.Probe) {
	t.Helper()
	for _, program := range probe.Programs {
		for _, site := range program.Sites {
			name := []byte("\x00" + strings.TrimSuffix(site.Func, "*"))
			if !strings.HasSuffix(site.Func, "*") {
				name = append(name, 0)
			}
			if !program.Optional && bytes.Contains(contents, name) {
				t.Errorf("%s is not linked, they say, and yet the file has %s", probe.Name, site.Func)
			}
		}
	}
}

// costs lists the kinds of a probe's points, in short.
func costs(p inspect.Probe) string {
	var list []string
	for _, program := range p.Programs {
		kinds := map[process.Cost]int{}
		for _, point := range program.Points {
			kinds[point.Cost]++
		}
		list = append(list, fmt.Sprintf("%s: %d emulated, %d stepped", program.Name, kinds[process.Emulated], kinds[process.Stepped]))
	}
	return strings.Join(list, ", ")
}
