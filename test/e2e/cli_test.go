package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/remora-agent/remora/internal/testenv"
)

func TestVersionAndHelp(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--help"}, {"agent", "--help"}, {"run", "--help"}, {"inspect", "--help"}, {"doctor", "--help"}} {
		stdout, stderr, code := testenv.Run(t, args...)
		if code != 0 || stdout == "" || stderr != "" {
			t.Errorf("remora %v: code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
	help, _, _ := testenv.Run(t, "--help")
	for _, command := range []string{"agent", "run", "inspect", "doctor", "version"} {
		if !strings.Contains(help, command) {
			t.Errorf("--help does not name %s", command)
		}
	}
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{{"agent", "--no-such-flag"}, {"no-such-command"}, {"run"}, {"inspect"}, {"agent", "--pid", "x"}, {"agent", "--listen", "nonsense", "--exe", "/x"}} {
		_, stderr, code := testenv.Run(t, args...)
		if code == 0 || stderr == "" {
			t.Errorf("remora %v: code %d, stderr %q, want a failure with a message", args, code, stderr)
		}
		noCrash(t, stderr)
	}
}

// TestInspect: for each version, plain and stripped, what is found and that no server probe is stepped by the kernel.
func TestInspect(t *testing.T) {
	for _, version := range []string{goVersions[0], "1.21.13", "1.24.13", "1.26.8", newest()} { // test/matrix has them all
		for _, spec := range []testenv.BuildSpec{{Go: version}, {Go: version, Stripped: true}, {Go: version, Stripped: true, PIE: true}} {
			t.Run(spec.String(), func(t *testing.T) {
				bin := httpServer(t, spec)
				text, stderr, code := testenv.Run(t, "inspect", bin)
				if code != 0 || stderr != "" {
					t.Fatalf("inspect: code %d, stderr %q", code, stderr)
				}
				for _, want := range []string{"go" + version, "net/http", "serverHandler"} {
					if !strings.Contains(text, want) {
						t.Errorf("inspect does not show %q:\n%s", want, text)
					}
				}
				out, _, _ := testenv.Run(t, "inspect", "--json", bin)
				if !json.Valid([]byte(out)) {
					t.Errorf("not JSON:\n%s", out)
				}
				if !strings.Contains(out, "emulated") {
					t.Errorf("no emulated probe:\n%s", out)
				}
			})
		}
	}
}

func TestInspectProcess(t *testing.T) {
	target := testenv.StartTarget(t, httpServer(t, testenv.BuildSpec{Go: "1.26.8", Stripped: true}), nil)
	text, stderr, code := testenv.Run(t, "inspect", strconv.Itoa(target.PID))
	if code != 0 || !strings.Contains(text, "net/http") {
		t.Errorf("code %d, stderr %q:\n%s", code, stderr, text)
	}
}

func TestDoctor(t *testing.T) {
	testenv.RequireRoot(t)
	text, stderr, _ := testenv.Run(t, "doctor")
	for _, want := range []string{"kernel", "uprobe_multi", "ring buffer", "CAP_BPF"} {
		if !strings.Contains(strings.ToLower(text), strings.ToLower(want)) {
			t.Errorf("doctor does not tell of %q:\n%s%s", want, text, stderr)
		}
	}
	out, _, _ := testenv.Run(t, "doctor", "--json")
	if !json.Valid([]byte(out)) {
		t.Errorf("not JSON:\n%s", out)
	}
}

// runCommand starts `remora run -- fixture` with what the test adds.
func runCommand(t *testing.T, bin string, args ...string) (*exec.Cmd, *bytes.Buffer, io.ReadCloser) {
	t.Helper()
	cmd := exec.Command(testenv.Remora(t), append([]string{"run", "--listen", "none", "--", bin}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, &stderr, stdout
}

// TestRun: the command is traced from its first request, its traces are printed, a signal reaches it.
func TestRun(t *testing.T) {
	testenv.RequireRoot(t)
	cmd, stderr, stdout := runCommand(t, httpServer(t, testenv.BuildSpec{Go: "1.27.4", Stripped: true}))
	var seen string
	for buf := make([]byte, 4096); !strings.Contains(seen, "\nready"); {
		n, err := stdout.Read(buf)
		seen += string(buf[:n])
		if err != nil {
			t.Fatalf("run ended: %v\n%s%s", err, seen, stderr.String())
		}
	}
	addrs, _ := testenv.ParseListeners(seen)
	ask(t, "http://"+addrs["plain"]+"/hello") // at once: nothing waits for probes here
	ask(t, "http://"+addrs["plain"]+"/status/500")
	time.Sleep(testenv.Patient(500 * time.Millisecond))
	cmd.Process.Signal(syscall.SIGTERM)
	rest, _ := io.ReadAll(stdout)
	err := cmd.Wait()
	printed := seen + string(rest) + stderr.String()
	for _, want := range []string{"GET /hello", "GET /status/", "500"} {
		if !strings.Contains(printed, want) {
			t.Errorf("output has no %q:\n%s", want, printed)
		}
	}
	if strings.Contains(printed, "\x1b[") {
		t.Errorf("colours although stdout is no terminal:\n%q", printed)
	}
	if err == nil {
		t.Error("a command that SIGTERM ended gave exit code 0")
	}
}

// TestRunExitCode: the exit code is the command's own.
func TestRunExitCode(t *testing.T) {
	testenv.RequireRoot(t)
	bin := httpServer(t, testenv.BuildSpec{Go: "1.27.4"})
	_, _, code := testenv.Run(t, "run", "--listen", "none", "--", bin, "-no-such-flag") // package flag exits with 2
	if code != 2 {
		t.Errorf("got exit code %d, want the command's 2", code)
	}
	_, stderr, code := testenv.Run(t, "run", "--listen", "none", "--", "/no/such/command")
	if code == 0 {
		t.Error("a command that does not exist gave exit code 0")
	}
	oneLine(t, stderr, "/no/such/command")
}

// TestPages: /healthz, /readyz and /metrics, and --listen none.
func TestPages(t *testing.T) {
	testenv.RequireRoot(t)
	_, agent, _ := traced(t, testenv.BuildSpec{Go: "1.26.8", Stripped: true})
	for _, page := range []string{"/healthz", "/readyz", "/metrics"} {
		if code := agent.Get(page); code != http.StatusOK {
			t.Errorf("GET %s: %d", page, code)
		}
	}
	for _, name := range []string{"process_cpu_seconds_total", "process_resident_memory_bytes", "remora_targets"} {
		if agent.Metric(t, name) == 0 {
			t.Errorf("metric %s is missing or 0", name)
		}
	}
	if mb := agent.Metric(t, "process_resident_memory_bytes") / 1e6; mb > 40 {
		t.Errorf("agent has %.0f MB resident, want under 40", mb)
	}
}
