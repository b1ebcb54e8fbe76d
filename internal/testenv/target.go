package testenv

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Target is a running program to trace. It says on stdout where it serves, one line `listening NAME ADDRESS` for each
// listener and `ready` behind the last.
type Target struct {
	PID    int
	addrs  map[string]string
	cmd    *exec.Cmd
	done   chan struct{}
	output lockedBuffer
}

// outputMax is how much of a target's output, in bytes, the report of a failed test has.
const outputMax = 8 << 10

// StartTarget starts a program with additional environment and waits until it serves. It ends with the test.
func StartTarget(t testing.TB, bin string, env []string, args ...string) *Target {
	t.Helper()
	p := &Target{cmd: exec.Command(bin, args...), done: make(chan struct{})}
	p.cmd.Env = append(cleanEnv(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start target: %v", err)
	}
	p.PID = p.cmd.Process.Pid
	go func() { p.cmd.Wait(); close(p.done) }()
	t.Cleanup(func() {
		p.Stop()
		if output := p.Output(); t.Failed() {
			t.Logf("target's output, its last %d bytes at most:\n%s", outputMax, output[max(0, len(output)-outputMax):])
		}
	})
	Eventually(t, 10*time.Second, "target serves", func() bool {
		if p.Exited() {
			t.Fatalf("target ended:\n%s", p.Output())
		}
		addrs, ready := ParseListeners(p.Output())
		p.addrs = addrs
		return ready
	})
	return p
}

// ParseListeners reads the lines by which a fixture says where it serves; ready is false while they are not all there.
func ParseListeners(output string) (addrs map[string]string, ready bool) {
	addrs = map[string]string{}
	for _, line := range strings.Split(output, "\n") {
		var name, addr string
		if n, _ := fmt.Sscanf(line, "listening %s %s", &name, &addr); n == 2 {
			addrs[name] = addr
		}
		ready = ready || line == "ready"
	}
	return addrs, ready
}

// Addr returns the address of a listener.
func (p *Target) Addr(listener string) string { return p.addrs[listener] }

// URL returns a URL on the listener `plain`.
func (p *Target) URL(path string) string { return "http://" + p.addrs["plain"] + path }

// Exited says whether the process is gone.
func (p *Target) Exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Stop ends the process with SIGKILL and waits for it.
func (p *Target) Stop() {
	p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.done
}

// Output returns what the program wrote so far, stdout and stderr.
func (p *Target) Output() string { return p.output.String() }
