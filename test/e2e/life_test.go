package e2e

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/testenv"
)

// TestRestarts kills and restarts the target 20 times: the agent traces each within 2 s, and holds no more than before.
func TestRestarts(t *testing.T) {
	testenv.RequireRoot(t)
	bin := testenv.Copy(t, httpServer(t, testenv.BuildSpec{Go: "1.26.8", Stripped: true}), "restarted")
	sink := testenv.NewSink(t)
	agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--exe", bin}})

	var first map[string]int
	for i := 1; i <= 20; i++ {
		target := testenv.StartTarget(t, bin, nil)
		started := time.Now()
		before := sink.Len()
		testenv.Eventually(t, 5*time.Second, fmt.Sprintf("a span of start %d", i), func() bool {
			ask(t, target.URL("/hello"))
			return sink.Len() > before
		})
		if d, most := time.Since(started), testenv.Patient(2*time.Second); d > most {
			t.Errorf("start %d: first span after %v, want %v", i, d, most)
		}
		target.Stop()
		testenv.Eventually(t, 5*time.Second, "target gone", func() bool { return agent.Metric(t, "remora_targets") == 0 })
		if i == 2 { // by now everything that stays is there
			first = held(t, agent.PID)
		}
	}
	var last map[string]int
	same := testenv.Within(3*time.Second, func() bool { last = held(t, agent.PID); return fmt.Sprint(last) == fmt.Sprint(first) })
	if !same {
		t.Errorf("agent holds after 20 restarts\n%v\nafter 2\n%v", last, first)
	}
}

// held counts a process's file descriptors by kind. BPF maps, programs and links are descriptors too, and nothing of them
// outlives the last one as long as nothing is pinned. Connections to the test come and go.
func held(t *testing.T, pid int) map[string]int {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, e := range entries {
		name, err := os.Readlink(dir + "/" + e.Name())
		if err != nil || strings.HasPrefix(name, "socket:") {
			continue
		}
		kind, _, _ := strings.Cut(name, "[")
		if strings.HasPrefix(name, "anon_inode:") {
			kind = name
		}
		count[kind]++
	}
	return count
}

func ask(t *testing.T, url string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Errorf("target does not serve: %v", err)
		return
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

// TestKilledAgent: nothing of a killed agent stays in the target.
func TestKilledAgent(t *testing.T) {
	testenv.RequireRoot(t)
	target, agent, sink := traced(t, testenv.BuildSpec{Go: "1.26.8"})
	if n := changedText(t, target.PID); n == 0 {
		t.Fatal("no probe in the target's text: the test cannot see any")
	}
	load(t, target, "/hello", 2, 10)
	sink.Wait(t, 20, 10*time.Second)
	agent.Kill(t)
	load(t, target, "/hello", 2, 10)
	ask(t, target.URL("/hello"))
	// The kernel takes the probes out when the last file of the dead process is closed.
	if !testenv.Within(5*time.Second, func() bool { return changedText(t, target.PID) == 0 }) {
		t.Errorf("%d bytes of the target's text still differ from its file", changedText(t, target.PID))
	}
	ask(t, target.URL("/hello"))
	if target.Exited() {
		t.Errorf("target is gone:\n%s", target.Output())
	}
}

// changedText counts the bytes by which the text of a process differs from its file: the INT3 of probes. For programs that
// are not PIE.
func changedText(t *testing.T, pid int) int {
	t.Helper()
	f, err := elf.Open(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text := f.Section(".text")
	want, err := text.Data()
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	got := make([]byte, len(want))
	if _, err := mem.ReadAt(got, int64(text.Addr)); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return 0
	}
	n := 0
	for i := range want {
		if got[i] != want[i] {
			n++
		}
	}
	return n
}

// TestStopTakesProbesOut: an agent that ends by itself exports what it has and leaves nothing.
func TestStopTakesProbesOut(t *testing.T) {
	testenv.RequireRoot(t)
	target, agent, sink := traced(t, testenv.BuildSpec{Go: "1.26.8"})
	load(t, target, "/hello", 1, 25)
	if code := agent.Stop(t); code != 0 {
		t.Errorf("agent ended with %d, want 0", code)
	}
	checkSpans(t, sink.Spans(), 25)
	if n := changedText(t, target.PID); n != 0 {
		t.Errorf("%d bytes of the target's text differ from its file", n)
	}
}

// TestTargetDiesWhileAttached starts and kills targets at moments that hit every phase of attaching.
func TestTargetDiesWhileAttached(t *testing.T) {
	testenv.RequireRoot(t)
	bin := testenv.Copy(t, httpServer(t, testenv.BuildSpec{Go: "1.26.8", Stripped: true}), "mayfly")
	sink := testenv.NewSink(t)
	agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--exe", bin}})
	for i := 0; i < 20; i++ {
		target := testenv.StartTarget(t, bin, nil)
		time.Sleep(time.Duration(i) * 15 * time.Millisecond)
		target.Stop()
	}
	target := testenv.StartTarget(t, bin, nil)
	agent.WaitTraced(t, target.PID)
	ask(t, target.URL("/hello"))
	if !testenv.Within(5*time.Second, func() bool { return sink.Len() >= 1 }) {
		t.Error("no span of the target that lives")
	}
	noCrash(t, agent.Output())
}

// TestDeadPID: a PID that does not exist is one clear line and a failure.
func TestDeadPID(t *testing.T) {
	testenv.RequireRoot(t)
	target := testenv.StartTarget(t, httpServer(t, testenv.BuildSpec{Go: "1.26.8"}), nil)
	target.Stop()
	agent := testenv.LaunchAgent(t, testenv.AgentOptions{Args: []string{"--pid", strconv.Itoa(target.PID)}})
	if code := agent.WaitExit(t, 10*time.Second); code == 0 {
		t.Error("agent ended with 0, want a failure")
	}
	oneLine(t, agent.Output(), strconv.Itoa(target.PID))
}

// TestSaysWhatIsNotWritten: where the kernel refuses writes to programs, the log says so once.
func TestSaysWhatIsNotWritten(t *testing.T) {
	testenv.RequireRoot(t)
	_, agent, _ := traced(t, testenv.BuildSpec{Go: "1.26.8"})
	want := 0
	if bpf.Probe().UserWrites() != nil {
		want = 1
	}
	if got := strings.Count(agent.Output(), "traceparent is not written"); got != want {
		t.Errorf("said %d times, want %d:\n%s", got, want, agent.Output())
	}
}

// TestReplacedOnDisk: the file of a running target is replaced by another build; the running one is traced as what it is, and
// then the new one.
func TestReplacedOnDisk(t *testing.T) {
	testenv.RequireRoot(t)
	old := httpServer(t, testenv.BuildSpec{Go: "1.26.8", Stripped: true})
	bin := testenv.Copy(t, old, "replaced")
	sink := testenv.NewSink(t)
	running := testenv.StartTarget(t, bin, nil)
	replace(t, bin, httpServer(t, testenv.BuildSpec{Go: "1.27.4"}))
	agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", strconv.Itoa(running.PID)}})
	agent.WaitTraced(t, running.PID)
	load(t, running, "/hello", 5, 10)
	checkSpans(t, sink.Wait(t, 50, 10*time.Second), 50)
	agent.Stop(t)

	both := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--exe", bin}})
	fresh := testenv.StartTarget(t, bin, nil)
	both.WaitTraced(t, fresh.PID)
	replace(t, bin, old)
	load(t, fresh, "/hello", 5, 10)
	checkSpans(t, sink.Wait(t, 100, 10*time.Second), 100)
	for _, target := range []*testenv.Target{running, fresh} {
		ask(t, target.URL("/hello"))
		if target.Exited() {
			t.Errorf("target is gone:\n%s", target.Output())
		}
	}
	noCrash(t, both.Output())
}

// replace puts another file at path by renaming, as a package upgrade does.
func replace(t *testing.T, path, with string) {
	t.Helper()
	if err := os.Rename(testenv.Copy(t, with, "new"), path); err != nil {
		t.Fatal(err)
	}
}

// noCrash fails when a program's output shows a Go panic or fatal error.
func noCrash(t *testing.T, output string) {
	t.Helper()
	for _, bad := range []string{"panic:", "fatal error:", "goroutine 1 ["} {
		if strings.Contains(output, bad) {
			t.Errorf("output has %q:\n%s", bad, output)
		}
	}
}

// oneLine fails when output is not one line that tells of every subject.
func oneLine(t *testing.T, output string, subjects ...string) {
	t.Helper()
	noCrash(t, output)
	lines := strings.Split(strings.TrimSpace(output), "\n")
	if len(lines) != 1 {
		t.Errorf("got %d lines, want one clear message:\n%s", len(lines), output)
	}
	for _, s := range subjects {
		if !strings.Contains(output, s) {
			t.Errorf("output does not name %q:\n%s", s, output)
		}
	}
}
