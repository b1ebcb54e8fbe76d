// Package kernel tests remora under other Linux kernels, in virtual machines: test/kernel/inside under each, and the end-to-end
// tests under some. See docs/kernels.md.
package kernel

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/remora-agent/remora/internal/testenv"
	"github.com/remora-agent/remora/internal/testenv/vm"
)

// machine is one kernel to test under.
type machine struct {
	series, arch string
	cmdline      string // added to the kernel's command line
	endToEnd     bool   // test/e2e too, not only test/kernel/inside
	tests        string // only these of test/e2e; "" for all
	why          string // there are only these
	short        extent // in make test
}

// extent is how much of a machine's tests make test has time for.
type extent int

const (
	none  extent = iota
	loads        // all programs are loaded and the doctor is asked
	most         // all of test/kernel/inside, and of the end-to-end tests those of trace context
)

func (m machine) String() string {
	name := m.series + "-" + m.arch
	if m.cmdline != "" {
		name += "-" + m.cmdline
	}
	return name
}

// newest is the newest kernel that Debian has.
const newest = "7.3"

// injection are the tests of trace context in requests, which need a kernel that this machine may not have.
const injection = "^Test(GRPC)?(Inject|Chain|Steer)"

// steers says why a kernel runs these tests only.
const steers = "differs from the other kernels in how trace context comes into requests"

// tooLong says why make test leaves something out.
const tooLong = "takes too long for make test: make test-kernel runs it"

// machines begins with those that take longest: they run in this order, as many at a time as there are CPUs.
func machines() []machine {
	const locked = "lockdown=integrity"
	steering := func(series, arch, cmdline string, short extent) machine {
		return machine{series: series, arch: arch, cmdline: cmdline, endToEnd: true, tests: injection, why: steers, short: short}
	}
	return []machine{
		steering(newest, "amd64", locked, most),
		{series: "6.1", arch: "amd64", endToEnd: true, short: most},
		{series: newest, arch: "amd64", endToEnd: true},
		{series: "5.10", arch: "amd64", endToEnd: true, short: most},
		steering(newest, "arm64", "", none),
		steering("6.19", "amd64", "", loads),
		steering("6.19", "amd64", locked, none),
		steering("7.0", "amd64", "", loads),
		steering("7.0", "amd64", locked, none),
		{series: "6.12", arch: "arm64", short: most},
		{series: "7.2", arch: "amd64", short: loads},
		{series: "6.18", arch: "amd64", short: loads},
		{series: "6.12", arch: "amd64", short: loads},
		{series: "6.12", arch: "amd64", cmdline: locked},
	}
}

// patience makes every wait of a test inside longer. A virtual machine takes about ten times as long as a real one, and
// may have to share its CPU with the other and whatever else this one does.
const patience = 10

var (
	only     = flag.String("inside", "", "run only those `tests` inside: TestVerifier/go1.27.4")
	limit    = flag.Duration("most", time.Hour, "how long all tests under one kernel may take")
	requests = flag.Int("requests", 0, "how many requests of each kind the end-to-end tests send; 0: their own number")
)

// TestKernels runs the suites under each kernel. What happens inside is reported as if it had happened here.
func TestKernels(t *testing.T) {
	testenv.RequireRoot(t)
	suites := build(t)
	queue := make(chan machine)
	var group sync.WaitGroup
	for range runtime.NumCPU() { // each machine has one
		group.Go(func() {
			for m := range queue {
				t.Run(m.String(), func(t *testing.T) { m.run(t, suites) })
			}
		})
	}
	for _, m := range machines() {
		queue <- m
	}
	close(queue)
	group.Wait()
}

// run runs the suites under the machine's kernel.
func (m machine) run(t *testing.T, suites []suite) {
	if err := vm.Available(m.arch); err != nil {
		t.Skip(err)
	}
	if testing.Short() && m.short == none {
		t.Skip(tooLong)
	}
	if testing.Short() && m.endToEnd {
		m.tests, m.why = injection, tooLong
	}
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	k, err := vm.Fetch(ctx, m.series, m.arch)
	if err != nil {
		t.Skip(err)
	}
	for _, s := range suites {
		if s.arch != m.arch || s.endToEnd && !m.endToEnd {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			if s.endToEnd && testing.Short() && m.short < most {
				t.Skip(tooLong)
			}
			s.run(ctx, t, k, m)
		})
	}
}

// run runs a suite under a kernel.
func (s suite) run(ctx context.Context, t *testing.T, k vm.Kernel, m machine) {
	for _, l := range s.leftOut(m) {
		t.Run(l.tests, func(t *testing.T) { t.Skip(l.reason) })
	}
	if s.endToEnd && m.tests != "" {
		t.Run("all but "+m.tests, func(t *testing.T) { t.Skip(m.why) })
	}
	builds := t.TempDir()
	testenv.ServeBuilds(t, builds)
	var out bytes.Buffer
	patient := *limit * 9 / 10 // they say where they hang before the machine is stopped
	status, err := k.Run(ctx, vm.Command{
		Args: slices.Concat([]string{s.tests, "-test.v", "-test.timeout=" + patient.String()}, s.selection(m)),
		Dir:  s.dir,
		Env: []string{
			"HOME=" + os.Getenv("HOME"), "PATH=" + os.Getenv("PATH"), "REMORA_BIN=" + s.remora,
			testenv.PatienceVariable + "=" + strconv.Itoa(patience), testenv.BuildsVariable + "=" + builds,
		},
		Output:  &out,
		Cmdline: m.cmdline,
	})
	keepOutput(t, m.String()+"-"+filepath.Base(s.dir), out.Bytes())
	if err != nil {
		t.Fatalf("%v\noutput so far:\n%s", err, out.String())
	}
	if failed := replay(t, out.Bytes()); status != 0 && !failed {
		t.Errorf("the tests ended with %d:\n%s", status, out.String())
	}
}

// keepOutput writes what the tests inside said, with the times that each took, where KERNEL_OUTPUT says.
func keepOutput(t *testing.T, name string, out []byte) {
	t.Helper()
	dir := os.Getenv("KERNEL_OUTPUT")
	if dir == "" {
		return
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".out"), out, 0o644); err != nil {
		t.Error(err)
	}
}
