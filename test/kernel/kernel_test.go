// Package kernel tests remora under other Linux kernels, in virtual machines: test/kernel/inside, and the end-to-end tests that
// compare every behaviour of a server with the golden files. See docs/kernels.md.
package kernel

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/remora-agent/remora/internal/testenv"
	"github.com/remora-agent/remora/internal/testenv/vm"
)

// machine is one kernel to test under.
type machine struct{ series, arch, cmdline string }

func (m machine) String() string {
	name := m.series + "-" + m.arch
	if m.cmdline != "" {
		name += "-" + m.cmdline
	}
	return name
}

func machines() []machine {
	return []machine{
		{series: "5.10", arch: "amd64"},
		{series: "6.1", arch: "amd64"},
		{series: "6.12", arch: "amd64"},
		{series: "7.2", arch: "amd64"},
		{series: "6.12", arch: "arm64"},
	}
}

var only = flag.String("inside", "", "run only those `tests` inside: TestVerifier/go1.27.4")

// suite is a package of tests that runs inside, and which of them.
type suite struct{ dir, run string }

func suites() []suite {
	return []suite{
		{dir: "inside", run: "."},
		{dir: "../e2e", run: `TestHTTPServer/^go1\.[0-9]+\.[0-9]+-stripped$`},
	}
}

// TestKernels runs the suites under each kernel. What happens inside is reported as if it had happened here.
func TestKernels(t *testing.T) {
	testenv.RequireRoot(t)
	for _, m := range machines() {
		t.Run(m.String(), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
			defer cancel()
			k, err := vm.Fetch(ctx, m.series, m.arch)
			if err != nil {
				t.Skip(err)
			}
			if err := vm.Available(m.arch); err != nil {
				t.Skip(err)
			}
			buildFixtures(t, m.arch)
			remora := build(t, m.arch, "build", "../../cmd/remora")
			for _, s := range suites() {
				s.run = cmp.Or(*only, s.run)
				t.Run(filepath.Base(s.dir), func(t *testing.T) { runSuite(ctx, t, k, m, s, remora) })
			}
		})
	}
}

// buildFixtures builds what the tests inside need: there, they find it in the cache.
func buildFixtures(t *testing.T, arch string) {
	t.Helper()
	for _, version := range []string{"1.18.10", "1.21.13", "1.24.13", "1.26.8", "1.27.4"} {
		testenv.Build(t, testenv.BuildSpec{Dir: "../e2e/testdata/httpserver", Go: version, Arch: arch, Stripped: true})
	}
}

// build builds a program, or with "test -c" the tests of a package, without cgo.
func build(t *testing.T, arch string, how ...string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "program")
	args := append(append([]string{}, how[:len(how)-1]...), "-trimpath", "-o", bin, how[len(how)-1])
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, out)
	}
	return bin
}

func runSuite(ctx context.Context, t *testing.T, k vm.Kernel, m machine, s suite, remora string) {
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	bin := build(t, m.arch, "test", "-c", "./"+s.dir)
	var out bytes.Buffer
	started := time.Now()
	status, err := k.Run(ctx, vm.Command{
		Args:    []string{bin, "-test.v", "-test.run=" + s.run, "-test.timeout=10m"},
		Dir:     dir,
		Env:     []string{"HOME=" + os.Getenv("HOME"), "PATH=" + os.Getenv("PATH"), "REMORA_BIN=" + remora},
		Output:  &out,
		Cmdline: m.cmdline,
	})
	if err != nil {
		t.Fatalf("%v\noutput so far:\n%s", err, out.String())
	}
	failed := replay(t, out.Bytes())
	if status != 0 && !failed {
		t.Errorf("the tests ended with %d:\n%s", status, out.String())
	}
	t.Logf("took %v on %v", time.Since(started).Round(time.Second), m)
}
