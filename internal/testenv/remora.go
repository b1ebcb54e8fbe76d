package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/remora-agent/remora/internal/promtext"
)

// Remora returns the path of the program under test: $REMORA_BIN, or one built from the working tree.
func Remora(t testing.TB) string {
	t.Helper()
	if bin := os.Getenv("REMORA_BIN"); bin != "" {
		return bin
	}
	bin, err := buildRemora()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// buildRemora builds once per test process.
var buildRemora = sync.OnceValues(func() (string, error) {
	root, err := findRoot()
	if err != nil {
		return "", err
	}
	dir, err := cacheDir("bin")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "remora")
	return bin, withLock(bin+".lock", func() error {
		cmd := exec.Command("go", "build", "-trimpath", "-o", bin, "./cmd/remora")
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build remora: %w\n%s", err, out)
		}
		return nil
	})
})

// AgentOptions are the differences from an agent that exports over OTLP/HTTP, quickly, and serves metrics.
type AgentOptions struct {
	Args []string // after `remora agent --listen …`
	Env  []string // added to the environment
	Sink *Sink    // where the spans go; nil: nowhere (OTEL_TRACES_EXPORTER=none, unless Env says otherwise)
	Wrap []string // a command that starts the agent in another way: setpriv, prlimit
}

// Agent is a running `remora agent`.
type Agent struct {
	PID    int
	listen string
	cmd    *exec.Cmd
	done   chan struct{}
	output lockedBuffer
}

// StartAgent starts the agent and waits until /readyz says that it is ready. It ends with the test.
func StartAgent(t testing.TB, o AgentOptions) *Agent {
	t.Helper()
	a := LaunchAgent(t, o)
	Eventually(t, time.Minute, "agent ready", func() bool {
		if a.Exited() {
			t.Fatalf("agent ended with %d before it was ready:\n%s", a.ExitCode(), a.Output())
		}
		return a.Get("/readyz") == http.StatusOK
	})
	return a
}

// LaunchAgent starts the agent and does not wait.
func LaunchAgent(t testing.TB, o AgentOptions) *Agent {
	t.Helper()
	a := &Agent{listen: FreeAddr(t), done: make(chan struct{})}
	args := append(append(o.Wrap, Remora(t), "agent", "--listen", a.listen), o.Args...)
	a.cmd = exec.Command(args[0], args[1:]...)
	a.cmd.Env = append(cleanEnv(),
		"OTEL_BSP_SCHEDULE_DELAY=100", // ms, on every machine: tests wait for it
		// The defaults, but for machines that need patience: what times out is sent again, and there twice.
		milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT", 10*time.Second),
		milliseconds("OTEL_BSP_EXPORT_TIMEOUT", 30*time.Second))
	if o.Sink != nil {
		a.cmd.Env = append(a.cmd.Env, "OTEL_EXPORTER_OTLP_ENDPOINT="+o.Sink.URL())
	} else {
		a.cmd.Env = append(a.cmd.Env, "OTEL_TRACES_EXPORTER=none")
	}
	a.cmd.Env = append(a.cmd.Env, o.Env...)
	a.cmd.Stdout, a.cmd.Stderr = &a.output, &a.output
	if err := a.cmd.Start(); err != nil {
		t.Fatalf("start agent: %v", err)
	}
	a.PID = a.cmd.Process.Pid
	go func() { a.cmd.Wait(); close(a.done) }()
	t.Cleanup(func() {
		a.Stop(t)
		if t.Failed() {
			t.Logf("agent's output:\n%s", a.Output())
		}
	})
	return a
}

// milliseconds sets a variable to a time (see Patient).
func milliseconds(name string, d time.Duration) string {
	return fmt.Sprintf("%s=%d", name, Patient(d).Milliseconds())
}

// cleanEnv is this process's environment without what would configure the agent.
func cleanEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "OTEL_") && !strings.HasPrefix(v, "REMORA_") {
			env = append(env, v)
		}
	}
	return env
}

// Get returns the status of a page of the agent, 0 when there is no answer.
func (a *Agent) Get(path string) int {
	resp, err := http.Get("http://" + a.listen + path)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// Metric returns the sum of a metric's series with these labels (`key=value`), 0 when there is none.
func (a *Agent) Metric(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	m, err := promtext.Read("http://" + a.listen + "/metrics")
	if err != nil {
		t.Fatalf("read the agent's metrics: %v\n%s", err, a.Output())
	}
	return m.Sum(name, labels...)
}

// WaitTraced waits until probes are attached to a process.
func (a *Agent) WaitTraced(t testing.TB, pid int) {
	t.Helper()
	Eventually(t, 20*time.Second, fmt.Sprintf("process %d traced", pid), func() bool {
		if a.Exited() {
			t.Fatalf("agent ended with %d:\n%s", a.ExitCode(), a.Output())
		}
		return a.Metric(t, "remora_target_probes_attached", "pid="+strconv.Itoa(pid)) > 0
	})
}

// Exited says whether the process is gone.
func (a *Agent) Exited() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// WaitExit waits for the agent to end by itself, and returns its exit code.
func (a *Agent) WaitExit(t testing.TB, timeout time.Duration) int {
	t.Helper()
	select {
	case <-a.done:
	case <-time.After(Patient(timeout)):
		t.Fatalf("agent did not end within %v:\n%s", Patient(timeout), a.Output())
	}
	return a.ExitCode()
}

// ExitCode is valid after the agent ended; -1 when a signal ended it.
func (a *Agent) ExitCode() int { return a.cmd.ProcessState.ExitCode() }

// Kill ends the agent with SIGKILL.
func (a *Agent) Kill(t testing.TB) {
	t.Helper()
	a.cmd.Process.Kill()
	a.WaitExit(t, 10*time.Second)
}

// Stop ends the agent with SIGTERM, if it still runs, and returns its exit code.
func (a *Agent) Stop(t testing.TB) int {
	t.Helper()
	if err := a.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("stop the agent: %v", err)
	}
	select {
	case <-a.done:
	case <-time.After(Patient(20 * time.Second)):
		t.Errorf("agent did not end within %v of SIGTERM", Patient(20*time.Second))
		a.cmd.Process.Kill()
		<-a.done
	}
	return a.ExitCode()
}

// Output returns what the agent wrote so far, stdout and stderr.
func (a *Agent) Output() string { return a.output.String() }

// Run runs remora with args to its end and returns stdout, stderr and the exit code.
func Run(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(Remora(t), args...)
	cmd.Env = cleanEnv()
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("run remora %v: %v", args, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// lockedBuffer is a buffer that is written and read at the same time.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
