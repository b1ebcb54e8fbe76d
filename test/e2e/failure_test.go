package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/remora-agent/remora/internal/testenv"
)

// TestInspectRefuses: a file that is no Go program is one clear line and a failure, never a crash.
func TestInspectRefuses(t *testing.T) {
	good, err := os.ReadFile(httpServer(t, testenv.BuildSpec{Go: "1.27.4", Stripped: true}))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		"empty":     nil,
		"text":      []byte("#!/bin/sh\nexit 0\n"),
		"garbage":   garbage(1 << 20),
		"elfheader": good[:64],
		"elfhalf":   append(append([]byte{}, good[:64]...), garbage(1<<16)...),
	}
	for _, cut := range []int{100, 1000, 4096, len(good) / 100, len(good) / 3, len(good) / 2, len(good) * 9 / 10} {
		files["truncated-"+strconv.Itoa(cut)] = good[:cut]
	}
	for name, data := range files {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(path, data, 0o755); err != nil {
				t.Fatal(err)
			}
			refused(t, path)
			if _, stderr, _ := testenv.Run(t, "inspect", path); strings.HasPrefix(name, "truncated") && !strings.Contains(stderr, "executable is truncated: it has "+strconv.Itoa(len(data))+" bytes") {
				t.Errorf("%q does not say that the file is truncated", stderr)
			}
		})
	}
	t.Run("not Go", func(t *testing.T) { refused(t, "/bin/bash") })
	t.Run("directory", func(t *testing.T) { refused(t, t.TempDir()) })
	t.Run("missing", func(t *testing.T) { refused(t, filepath.Join(t.TempDir(), "missing")) })
	t.Run("PID that cannot be", func(t *testing.T) { refused(t, "4194999") })
}

func refused(t *testing.T, subject string) {
	t.Helper()
	for _, args := range [][]string{{"inspect", subject}, {"inspect", "--json", subject}} {
		_, stderr, code := testenv.Run(t, args...)
		if code == 0 {
			t.Errorf("remora %v ended with 0, want a failure", args)
		}
		oneLine(t, stderr, subject)
	}
}

// garbage is the same in every run.
func garbage(n int) []byte {
	data := make([]byte, n)
	x := uint32(1)
	for i := range data {
		x = x*1664525 + 1013904223
		data[i] = byte(x >> 24)
	}
	return data
}

// TestInspectDamaged flips bytes all over a good program: inspect may say anything, but may not crash or hang.
func TestInspectDamaged(t *testing.T) {
	good, err := os.ReadFile(httpServer(t, testenv.BuildSpec{Go: "1.27.4", Stripped: true}))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "damaged")
	for round := 0; round < 8; round++ {
		data := append([]byte(nil), good...)
		noise := garbage(4096 + round)
		for i := 0; i+3 < len(noise); i += 4 {
			at := int(noise[i])<<24 | int(noise[i+1])<<16 | int(noise[i+2])<<8 | round
			data[at%len(data)] ^= noise[i+3]
		}
		if err := os.WriteFile(path, data, 0o755); err != nil {
			t.Fatal(err)
		}
		_, stderr, _ := testenv.Run(t, "inspect", path)
		noCrash(t, stderr)
	}
}

// TestNoCapabilities: an agent that may not load BPF programs says so in one line, with the remedy.
func TestNoCapabilities(t *testing.T) {
	testenv.RequireRoot(t)
	target := testenv.StartTarget(t, httpServer(t, testenv.BuildSpec{Go: "1.26.8"}), nil)
	agent := testenv.LaunchAgent(t, testenv.AgentOptions{
		Args: []string{"--pid", strconv.Itoa(target.PID)},
		Wrap: []string{"setpriv", "--bounding-set=-bpf,-sys_admin,-perfmon"},
	})
	if code := agent.WaitExit(t, 10*time.Second); code == 0 {
		t.Error("agent ended with 0, want a failure")
	}
	oneLine(t, agent.Output(), "CAP_BPF")
	ask(t, target.URL("/hello"))
}

// TestNothingMatches: an agent that finds nothing says what it looks for, and what it may not look at; it goes on waiting.
func TestNothingMatches(t *testing.T) {
	testenv.RequireRoot(t)
	bin := testenv.Copy(t, httpServer(t, testenv.BuildSpec{Go: "1.26.8"}), "later")
	dir := filepath.Dir(bin)
	hidden := testenv.StartTarget(t, testenv.Copy(t, bin, "hidden"), nil)
	agent := testenv.StartAgent(t, testenv.AgentOptions{
		Env:  []string{"OTEL_GO_AUTO_TARGET_EXE=/nonexistent/x, " + dir + " , hidden, " + bin},
		Wrap: []string{"setpriv", "--bounding-set=-sys_ptrace"},
	})
	time.Sleep(testenv.Patient(time.Second)) // some scans
	for _, want := range []string{
		`"exe":"/nonexistent/x","because":"no such file here`, `"exe":"` + dir + `","because":"a directory`, `"exe":"hidden"`, `"exe":"` + bin + `"}`,
		"CAP_SYS_PTRACE",
	} {
		if n := strings.Count(agent.Output(), want); n != 1 {
			t.Errorf("agent says %s %d times, want once", want, n)
		}
	}
	ask(t, hidden.URL("/hello"))
	agent.Stop(t)

	agent = testenv.StartAgent(t, testenv.AgentOptions{Args: []string{"--exe", bin}})
	target := testenv.StartTarget(t, bin, nil)
	agent.WaitTraced(t, target.PID)
	if !strings.Contains(agent.Output(), "no process runs this program") || strings.Contains(agent.Output(), "CAP_SYS_PTRACE") {
		t.Error("want one warning, that the program did not run at first")
	}
}

// TestEndpointFails: whatever the OTLP endpoint does, the agent lives, says it once, counts what it lost, and the target serves.
func TestEndpointFails(t *testing.T) {
	testenv.RequireRoot(t)
	bin := httpServer(t, testenv.BuildSpec{Go: "1.26.8", Stripped: true})
	for _, c := range []struct {
		name   string
		mode   testenv.Mode
		says   string // in the agent's log, once
		retry  bool   // the sender must try again, and deliver when the endpoint recovers
		noSink bool
	}{
		{name: "dead", noSink: true, says: "refused"},
		{name: "400", mode: testenv.Refuse, says: "400 Bad Request"},
		{name: "web page", mode: testenv.WebPage, says: "is OTEL_EXPORTER_OTLP_ENDPOINT the URL of an OTLP receiver?"},
		{name: "429", mode: testenv.TooManyRequests, says: "429 Too Many Requests", retry: true},
		{name: "503", mode: testenv.Unavailable, says: "503 Service Unavailable", retry: true},
		{name: "hang", mode: testenv.Hang, says: "no answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sink := testenv.NewSink(t)
			sink.SetMode(c.mode)
			var env []string
			if !c.retry { // given up soon
				env = append(env, "OTEL_EXPORTER_OTLP_TIMEOUT=2000", "OTEL_BSP_EXPORT_TIMEOUT=3000")
			}
			if c.noSink {
				env = append(env, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+testenv.FreeAddr(t), "OTEL_BSP_SCHEDULE_DELAY=5000") // the last span still waits at the end
			}
			target := testenv.StartTarget(t, bin, nil)
			agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Env: env, Args: []string{"--pid", strconv.Itoa(target.PID)}})
			agent.WaitTraced(t, target.PID)
			load(t, target, "/hello", 5, 20)
			if c.retry {
				testenv.Eventually(t, 10*time.Second, "a first try", func() bool { return sink.Posts(c.mode) > 0 })
				time.Sleep(testenv.Patient(500 * time.Millisecond))
				sink.SetMode(testenv.Accept)
				checkSpans(t, sink.Wait(t, 100, 20*time.Second), 100)
			} else {
				testenv.Eventually(t, 30*time.Second, "100 spans counted as export_failed", func() bool {
					return agent.Metric(t, "remora_spans_dropped_total", "reason=export_failed") == 100
				})
				if n := strings.Count(agent.Output(), c.says); n != 1 {
					t.Errorf("agent says %q %d times, want one clear message:\n%s", c.says, n, agent.Output())
				}
			}
			if c.mode == testenv.Refuse && sink.Posts(testenv.Refuse) > 20 {
				t.Errorf("%d requests to an endpoint that refuses: sent again?", sink.Posts(testenv.Refuse))
			}
			noCrash(t, agent.Output())
			ask(t, target.URL("/hello"))
			sink.SetMode(testenv.Accept)
			want := 0
			if c.noSink {
				want = 1 // the last span is lost: that is a failure
			}
			if code := agent.Stop(t); code != want {
				t.Errorf("agent ended with %d on SIGTERM, want %d", code, want)
			}
		})
	}
}

// TestHurriedShutdown: an agent whose receiver hangs says that it waits; a second signal ends it, and it says what is lost. When
// it ends because its targets have, the first does.
func TestHurriedShutdown(t *testing.T) {
	testenv.RequireRoot(t)
	t.Run("signals", func(t *testing.T) { hurriedShutdown(t, false) })
	t.Run("target left", func(t *testing.T) { hurriedShutdown(t, true) })
}

func hurriedShutdown(t *testing.T, leave bool) {
	target, agent, sink := traced(t, testenv.BuildSpec{Go: "1.26.8"})
	sink.SetMode(testenv.Hang)
	load(t, target, "/hello", 5, 4)
	testenv.Eventually(t, 5*time.Second, "spans on the way", func() bool { return sink.Posts(testenv.Hang) > 0 })
	if leave {
		target.Stop()
	} else {
		syscall.Kill(agent.PID, syscall.SIGINT)
	}
	testenv.Eventually(t, 5*time.Second, "the agent says that it waits", func() bool {
		return strings.Contains(agent.Output(), "waiting for the last spans")
	})
	if !leave {
		if n := changedText(t, target.PID); n != 0 {
			t.Errorf("%d bytes of the target's text still differ from its file while the agent waits", n)
		}
		ask(t, target.URL("/hello"))
	}
	begin := time.Now()
	syscall.Kill(agent.PID, syscall.SIGINT)
	if code := agent.WaitExit(t, 10*time.Second); code != 1 {
		t.Errorf("agent ended with %d, want 1: spans are lost", code)
	}
	if d := time.Since(begin); d > testenv.Patient(3*time.Second) {
		t.Errorf("ended %v after the signal", d)
	}
	if !strings.Contains(agent.Output(), `"export_failed":20`) {
		t.Errorf("agent does not say that 20 spans are lost:\n%s", agent.Output())
	}
}

// TestGRPCAddress: an address is as good an endpoint for gRPC as a URL, and nothing complains.
func TestGRPCAddress(t *testing.T) {
	testenv.RequireRoot(t)
	agent := testenv.StartAgent(t, testenv.AgentOptions{
		Args: []string{"--exe", "/no/such/program"},
		Env: []string{
			"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_ENDPOINT=" + testenv.FreeAddr(t),
			"REMORA_PROPAGATION=none", "OTEL_LOG_LEVEL=error", // there is no such program
		},
	})
	if code := agent.Stop(t); code != 0 || agent.Output() != "" {
		t.Errorf("agent ended with %d:\n%s", code, agent.Output())
	}
}
