// Package rig is what the demo and the benchmark share: a target and an agent as processes, and a load on the target.
package rig

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/remora-agent/remora/internal/promtext"
)

// Target is a running server to trace.
type Target struct {
	Addr string // where it serves
	PID  int
	cmd  *exec.Cmd
}

// StartTarget starts a command that says `listening ADDRESS` as its first line when it serves, with additional environment.
func StartTarget(argv []string, env ...string) (*Target, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start target: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	if !ok {
		cmd.Process.Kill()
		return nil, fmt.Errorf("target said %q instead of where it listens: %w", line, errors.Join(err, cmd.Wait()))
	}
	return &Target{Addr: addr, PID: cmd.Process.Pid, cmd: cmd}, nil
}

// Stop ends the target.
func (t *Target) Stop() {
	t.cmd.Process.Kill()
	t.cmd.Wait()
}

// Agent is a running `remora agent`.
type Agent struct {
	PID     int
	metrics string // URL
	cmd     *exec.Cmd
	done    chan error
}

// StartAgent starts remora on one process, with additional environment, and waits until its probes are attached. What it prints
// goes to out, what it logs to log.
func StartAgent(remora string, pid int, out, log io.Writer, env ...string) (*Agent, error) {
	listen, err := freeAddr()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(remora, "agent", "--listen", listen, "--pid", strconv.Itoa(pid))
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start remora: %w", err)
	}
	a := &Agent{PID: cmd.Process.Pid, metrics: "http://" + listen + "/metrics", cmd: cmd, done: make(chan error, 1)}
	go func() { a.done <- cmd.Wait() }()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-a.done:
			return nil, fmt.Errorf("remora ended before it was ready: %w", err)
		default:
		}
		page, err := a.Metrics()
		if err == nil && page.Sum("remora_target_probes_attached") > 0 {
			return a, nil
		}
	}
	return nil, errors.Join(errors.New("no probe attached within 20 s"), a.Stop())
}

// Metrics reads the agent's metrics.
func (a *Agent) Metrics() (promtext.Page, error) { return promtext.Read(a.metrics) }

// Pause makes the agent stand still until Resume. Its programs in the kernel do not.
func (a *Agent) Pause() error { return a.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume lets the agent go on.
func (a *Agent) Resume() error { return a.cmd.Process.Signal(syscall.SIGCONT) }

// Stop ends the agent as an operator does, and returns why it ended otherwise than with exit code 0.
func (a *Agent) Stop() error {
	a.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-a.done:
		return err
	case <-time.After(20 * time.Second):
		a.cmd.Process.Kill()
		return errors.New("remora did not end within 20 s of SIGTERM")
	}
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// Discard serves an OTLP endpoint that accepts and forgets; it returns its URL.
func Discard() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	return "http://" + l.Addr().String(), nil
}
