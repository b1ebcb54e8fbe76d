package bpf_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/plan"
	"github.com/remora-agent/remora/internal/testenv"
	"github.com/remora-agent/remora/probes"
	"github.com/remora-agent/remora/probes/all"
	"github.com/remora-agent/remora/probes/nethttp"
	"github.com/remora-agent/remora/process"
)

// update says whether to write docs/verifier-cost.md; testenv defines the flag for golden files.
func update() bool { return flag.Lookup("update").Value.String() == "true" }

const (
	fixture   = "../test/e2e/testdata/httpserver"
	libraries = "../test/matrix/testdata/libraries" // a program with all that is instrumented
)

// variant is one way in which programs are loaded and attached.
type variant struct {
	name          string
	multi, cookie bool
}

var variants = []variant{{"multi", true, true}, {"perf", false, true}, {"perf, no cookie", false, false}}

// available skips a variant that this kernel does not have.
func (v variant) available(t *testing.T, k bpf.Kernel) {
	t.Helper()
	for _, need := range []struct {
		on  bool
		err func() error
	}{{true, k.BPF}, {true, k.RingBuffer}, {v.multi, k.UprobeMulti}, {!v.multi, k.Uprobes}, {v.cookie, k.AttachCookie}} {
		if need.on {
			if err := need.err(); err != nil {
				t.Skip(err)
			}
		}
	}
}

func (v variant) options() bpf.Options {
	return bpf.Options{RingBytes: 1 << 20, InFlight: 100, UprobeMulti: v.multi, AttachCookie: v.cookie,
		Sampling: bpf.Sampling{Root: bpf.SamplerAlwaysOn, ParentBased: 1}}
}

// makePlan plans a probe for a program; both must work.
func makePlan(t *testing.T, path string, probe probes.Probe) plan.Plan {
	t.Helper()
	b, err := process.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	p := plan.Make(b, probe)
	if p.Err != nil {
		t.Fatal(p.Err)
	}
	has, _, err := bpf.Probe().Mechanisms("auto")
	if err != nil {
		t.Fatal(err)
	}
	p.Choose(has)
	return p
}

func load(t *testing.T, r *bpf.Runtime, index int, p plan.Plan) *bpf.Programs {
	t.Helper()
	spec, err := p.Probe.Spec()
	if err != nil {
		t.Fatal(err)
	}
	programs, err := r.Load(spec, uint32(index), p.Constants, p.Without())
	if err != nil {
		t.Fatalf("%+v", err) // with the verifier's log
	}
	return programs
}

// row is a line of docs/verifier-cost.md.
type row struct {
	probe, program string
	cost           map[string][]uint32 // by Go version, in the order of variants
}

// TestVerifier loads the programs of every probe with the constants of real programs, old and Swiss maps, and tells what the
// verifier had to walk through.
func TestVerifier(t *testing.T) {
	testenv.RequireRoot(t)
	kernel := bpf.Probe()
	versions := []string{"1.18.10", "1.21.13", "1.24.13", "1.26.8", "1.27.4"}
	if testing.Short() {
		versions = []string{"1.26.8"}
	}
	var rows []*row
	for index, probe := range all.Probes() {
		for _, version := range versions {
			spec := testenv.BuildSpec{Dir: libraries, Go: version, Stripped: true}
			if probe.Name == nethttp.HTTP2ServerWrapper().Name {
				if version != "1.27.4" {
					continue // there is none before
				}
				spec.ModFile = "new.mod"
			}
			if probe.Name == nethttp.HTTP2ServerCopy().Name {
				if version != "1.27.4" {
					continue
				}
				spec.Hot = testenv.HotServer(27)
			}
			p := makePlan(t, testenv.Build(t, spec), probe)
			for _, v := range variants {
				t.Run(probe.Name+" "+version+" "+v.name, func(t *testing.T) {
					v.available(t, kernel)
					for name, cost := range verify(t, v, index, p) {
						rows = add(rows, probe.Name, name, version, cost)
					}
				})
			}
		}
	}
	text := table(rows, versions)
	t.Logf("\n%s", text)
	if update() && !t.Failed() {
		if err := os.WriteFile("../docs/verifier-cost.md", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// verify loads a probe and returns its programs' cost.
func verify(t *testing.T, v variant, index int, p plan.Plan) map[string]uint32 {
	r, err := bpf.Open(v.options())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	programs := load(t, r, index, p)
	defer programs.Close()
	if private, err := programs.PrivateStacks(); err != nil || len(private) > 0 {
		t.Errorf("with a private stack: %v, %v", private, err)
	}
	cost, err := programs.VerifiedInstructions()
	if err != nil {
		t.Fatal(err)
	}
	return cost
}

func add(rows []*row, probe, program, version string, cost uint32) []*row {
	i := slices.IndexFunc(rows, func(r *row) bool { return r.probe == probe && r.program == program })
	if i < 0 {
		i, rows = len(rows), append(rows, &row{probe, program, map[string][]uint32{}})
	}
	rows[i].cost[version] = append(rows[i].cost[version], cost)
	return rows
}

func table(rows []*row, versions []string) string {
	var b strings.Builder
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return err.Error()
	}
	fmt.Fprintf(&b, "# What the verifier walks through\n\n")
	fmt.Fprintf(&b, "Instructions for each program by the Go version of the traced program, on Linux %s; the limit is 1,000,000.\n", unix.ByteSliceToString(uts.Release[:]))
	fmt.Fprintf(&b, "Attached by uprobe_multi, by perf events, and by perf events without cookies, where they differ.\n")
	fmt.Fprintf(&b, "Written by `go test ./bpf -run TestVerifier -update`.\n\n")
	fmt.Fprintf(&b, "| probe | program | %s |\n|---|---|%s\n", strings.Join(versions, " | "), strings.Repeat("--:|", len(versions)))
	slices.SortFunc(rows, func(a, b *row) int { return strings.Compare(a.probe+" "+a.program, b.probe+" "+b.program) })
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s |", r.probe, r.program)
		for _, version := range versions {
			costs := slices.Compact(slices.Clone(r.cost[version]))
			fmt.Fprintf(&b, " %s |", strings.Trim(strings.ReplaceAll(fmt.Sprint(costs), " ", ", "), "[]"))
		}
		b.WriteByte('\n')
	}
	return b.String()
}
