package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
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

// TestDoctorUnprivileged: where nothing can be traced the exit code is 1, and no row claims what is not so.
func TestDoctorUnprivileged(t *testing.T) {
	testenv.RequireRoot(t)
	for _, args := range [][]string{{"doctor"}, {"doctor", "--json"}} {
		remora, err := os.Open(testenv.Remora(t))
		if err != nil {
			t.Fatal(err)
		}
		defer remora.Close()
		cmd := exec.Command("/proc/self/fd/3", args...) // the other user need not reach its directory
		cmd.ExtraFiles = []*os.File{remora}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, _ := cmd.Output()
		if code := cmd.ProcessState.ExitCode(); code != 1 {
			t.Errorf("remora %v: code %d, want 1", args, code)
		}
		if !strings.Contains(string(out), "cannot read the environment") {
			t.Errorf("environments of others are not said to be unreadable:\n%s", out)
		}
	}
}

// ran is `remora run` of a fixture that serves.
type ran struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer // to be read after end
	stdout io.Reader
	seen   string // of stdout
	url    string
}

func runServer(t *testing.T, bin string) *ran {
	t.Helper()
	r := &ran{cmd: exec.Command(testenv.Remora(t), "run", "--listen", "none", "--", bin)}
	r.cmd.Stderr = &r.stderr
	var err error
	if r.stdout, err = r.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.cmd.Process.Kill() })
	for buf := make([]byte, 4096); !strings.Contains(r.seen, "\nready"); {
		n, err := r.stdout.Read(buf)
		r.seen += string(buf[:n])
		if err != nil {
			t.Fatalf("run ended: %v\n%s%s", err, r.seen, r.stderr.String())
		}
	}
	addrs, _ := testenv.ParseListeners(r.seen)
	r.url = "http://" + addrs["plain"]
	return r
}

// end stops the command, and returns when remora has ended.
func (r *ran) end() error {
	r.cmd.Process.Signal(syscall.SIGTERM)
	return r.wait()
}

func (r *ran) wait() error {
	rest, _ := io.ReadAll(r.stdout)
	r.seen += string(rest)
	return r.cmd.Wait()
}

// TestRun: the command is traced from its first request, its traces are printed, a signal reaches it.
func TestRun(t *testing.T) {
	testenv.RequireRoot(t)
	r := runServer(t, httpServer(t, testenv.BuildSpec{Go: "1.27.4", Stripped: true}))
	ask(t, r.url+"/hello") // at once: nothing waits for probes here
	ask(t, r.url+"/status/500")
	time.Sleep(testenv.Patient(500 * time.Millisecond))
	err := r.end()
	printed := r.seen + r.stderr.String()
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
	if lost := r.lost(t); lost != nil {
		t.Errorf("says that spans were lost: %v", lost)
	}
}

// lost returns what the log says of lost spans, by reason; nil: nothing.
func (r *ran) lost(t *testing.T) (reasons map[string]int) {
	t.Helper()
	for line := range strings.Lines(r.stderr.String()) {
		if !strings.Contains(line, "spans were lost") {
			continue
		}
		if reasons != nil {
			t.Errorf("says twice what was lost:\n%s", r.stderr.String())
		}
		fields := map[string]any{}
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		reasons = map[string]int{}
		for name, value := range fields {
			if n, ok := value.(float64); ok {
				reasons[name] = int(n)
			}
		}
	}
	return reasons
}

// TestRunSaysLosses: who runs a command learns of every span that is missing, and why.
func TestRunSaysLosses(t *testing.T) {
	testenv.RequireRoot(t)
	bin := httpServer(t, testenv.BuildSpec{Go: "1.27.4", Stripped: true})
	sink := testenv.NewSink(t)
	sink.SetMode(testenv.Hang)
	for _, c := range []struct {
		name    string
		env     map[string]string
		reasons []string
	}{
		{"too much at once", map[string]string{"REMORA_MAX_OPERATIONS": "64"}, []string{"map_full"}},
		{"receiver hangs", map[string]string{
			"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": sink.URL(), "OTEL_BSP_MAX_QUEUE_SIZE": "5",
			"OTEL_BSP_EXPORT_TIMEOUT": "500",
		}, []string{"export_failed", "queue_full"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			r := runServer(t, bin)
			const requests = 200
			var underWay []io.Closer
			for range requests {
				response, err := http.Get(r.url + "/slow")
				if err != nil {
					t.Fatal(err)
				}
				underWay = append(underWay, response.Body)
			}
			for _, body := range underWay {
				body.Close()
			}
			time.Sleep(testenv.Patient(time.Second)) // until the server has noticed
			r.end()
			got := strings.Count(r.seen, "trace=")
			reasons := r.lost(t)
			for _, n := range reasons {
				got += n
			}
			if names := slices.Sorted(maps.Keys(reasons)); !slices.Equal(names, c.reasons) || got != requests {
				t.Errorf("%d spans are printed or said to be lost, want %d; lost: %v, want %v\n%s", got, requests, reasons, c.reasons, r.stderr.String())
			}
		})
	}
}

// TestRunHurried: when the command has ended, a signal is for remora, which then lets go of what nobody takes.
func TestRunHurried(t *testing.T) {
	testenv.RequireRoot(t)
	sink := testenv.NewSink(t)
	sink.SetMode(testenv.Hang)
	t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.URL())
	r := runServer(t, httpServer(t, testenv.BuildSpec{Go: "1.27.4", Stripped: true}))
	ask(t, r.url+"/hello")
	begin := time.Now()
	r.cmd.Process.Signal(syscall.SIGTERM) // for the command
	testenv.Eventually(t, 5*time.Second, "the command has ended and its span is on the way", func() bool {
		_, err := http.Get(r.url + "/hello")
		return err != nil && sink.Posts(testenv.Hang) > 0
	})
	time.Sleep(testenv.Patient(500 * time.Millisecond)) // until remora has noticed
	if err := r.end(); err == nil {
		t.Error("a command that SIGTERM ended gave exit code 0")
	}
	if d := time.Since(begin); d > testenv.Patient(7*time.Second) {
		t.Errorf("ended after %v", d)
	}
	if lost := r.lost(t); lost["export_failed"] == 0 {
		t.Errorf("lost: %v, want export_failed\n%s", lost, r.stderr.String())
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
