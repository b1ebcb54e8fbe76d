package e2e

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/remora-agent/remora/internal/testenv"
)

// TestSelect: every way to name a target traces it, and only it.
func TestSelect(t *testing.T) {
	testenv.RequireRoot(t)
	built := httpServer(t, testenv.BuildSpec{Go: "1.26.8", Stripped: true})
	bin := testenv.Copy(t, built, "selected")
	other := testenv.StartTarget(t, testenv.Copy(t, built, "bystander"), nil)
	glob := filepath.Join(filepath.Dir(bin), "sel*")
	for _, c := range []struct {
		name string
		args []string
		env  []string
	}{
		{name: "path", args: []string{"--exe", bin}},
		{name: "glob", args: []string{"--exe", glob}},
		{name: "two globs", args: []string{"--exe", "/nonexistent/*", "--exe", glob}},
		{name: "environment", env: []string{"OTEL_GO_AUTO_TARGET_EXE=" + bin}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sink := testenv.NewSink(t)
			agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: c.args, Env: c.env})
			first := testenv.StartTarget(t, bin, nil) // starts behind the agent
			second := testenv.StartTarget(t, bin, nil)
			for _, target := range []*testenv.Target{first, second} {
				agent.WaitTraced(t, target.PID)
				ask(t, target.URL("/hello"))
			}
			ask(t, other.URL("/hello"))
			sink.Wait(t, 2, 5*time.Second)
			time.Sleep(testenv.Patient(300 * time.Millisecond))
			if n := sink.Len(); n != 2 {
				t.Errorf("got %d spans, want 2: one of each selected process", n)
			}
			if n := agent.Metric(t, "remora_targets"); n != 2 {
				t.Errorf("remora_targets is %v, want 2", n)
			}
			if n := changedText(t, other.PID); n != 0 {
				t.Errorf("%d bytes changed in a process that nobody selected", n)
			}
			first.Stop()
			second.Stop()
		})
	}
}

// TestSelectPID: OTEL_GO_AUTO_TARGET_PID traces one process, not its siblings of the same file.
func TestSelectPID(t *testing.T) {
	testenv.RequireRoot(t)
	bin := httpServer(t, testenv.BuildSpec{Go: "1.26.8", Stripped: true})
	target, sibling := testenv.StartTarget(t, bin, nil), testenv.StartTarget(t, bin, nil)
	sink := testenv.NewSink(t)
	agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Env: []string{"OTEL_GO_AUTO_TARGET_PID=" + strconv.Itoa(target.PID)}})
	agent.WaitTraced(t, target.PID)
	ask(t, sibling.URL("/hello"))
	ask(t, target.URL("/silent"))
	sink.Wait(t, 1, 5*time.Second)
	time.Sleep(testenv.Patient(300 * time.Millisecond))
	if spans := sink.Spans(); len(spans) != 1 || spans[0].Name != "GET /silent" {
		t.Errorf("got spans %v, want one GET /silent", spans)
	}
}

// TestResource: the resource tells of the target, never of the agent.
func TestResource(t *testing.T) {
	testenv.RequireRoot(t)
	built := httpServer(t, testenv.BuildSpec{Go: "1.26.8", Stripped: true})
	for _, c := range []struct {
		name             string
		target, agentEnv []string
		want             map[string]string // service.name, and what is added
	}{
		{name: "executable", want: map[string]string{"service.name": `"shopd"`}},
		{name: "target's name", target: []string{"OTEL_SERVICE_NAME=mine"}, agentEnv: []string{"OTEL_SERVICE_NAME=agents"}, want: map[string]string{"service.name": `"mine"`}},
		{name: "agent's name", agentEnv: []string{"OTEL_SERVICE_NAME=agents"}, want: map[string]string{"service.name": `"agents"`}},
		{name: "target's attributes", target: []string{"OTEL_RESOURCE_ATTRIBUTES=service.name=attr,team=a%20b"}, agentEnv: []string{"OTEL_SERVICE_NAME=agents"},
			want: map[string]string{"service.name": `"attr"`, "team": `"a b"`}},
		{name: "agent's attributes", agentEnv: []string{"OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test"},
			want: map[string]string{"service.name": `"shopd"`, "deployment.environment.name": `"test"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bin := testenv.Copy(t, built, "shopd")
			sink := testenv.NewSink(t)
			target := testenv.StartTarget(t, bin, c.target, "-addr", "127.0.0.1:0")
			agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Env: c.agentEnv, Args: []string{"--exe", bin}})
			agent.WaitTraced(t, target.PID)
			ask(t, target.URL("/hello"))
			spans := sink.Wait(t, 1, 5*time.Second)
			if len(spans) == 0 {
				return
			}
			got := testenv.Attributes(spans[0].Resource.Attributes)
			for _, k := range []string{"service.instance.id", "host.name", "telemetry.distro.version", "process.runtime.version"} {
				if got[k] == "" {
					t.Errorf("resource has no %s: %v", k, got)
				}
			}
			want := map[string]string{
				"process.pid":             strconv.Itoa(target.PID),
				"process.executable.name": `"shopd"`,
				"process.executable.path": strconv.Quote(bin),
				"process.command":         strconv.Quote(bin),
				"process.runtime.name":    `"go"`,
				"os.type":                 `"linux"`,
				"telemetry.sdk.language":  `"go"`,
				"telemetry.distro.name":   `"remora"`,
			}
			for k, v := range c.want {
				want[k] = v
			}
			for k := range got {
				if _, ok := want[k]; !ok {
					delete(got, k)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("resource (-want +got):\n%s", diff)
			}
		})
	}
}

// TestExporterNone: OTEL_SDK_DISABLED and OTEL_TRACES_EXPORTER=none send nothing. Disabled, the agent has nothing to do and ends.
func TestExporterNone(t *testing.T) {
	testenv.RequireRoot(t)
	target := testenv.StartTarget(t, httpServer(t, testenv.BuildSpec{Go: "1.26.8", Stripped: true}), nil)
	for _, env := range []string{"OTEL_SDK_DISABLED=true", "OTEL_TRACES_EXPORTER=none"} {
		t.Run(env, func(t *testing.T) {
			sink := testenv.NewSink(t)
			agent := testenv.LaunchAgent(t, testenv.AgentOptions{Sink: sink, Env: []string{env}, Args: []string{"--pid", strconv.Itoa(target.PID)}})
			testenv.Within(2*time.Second, func() bool { ask(t, target.URL("/hello")); return agent.Exited() })
			if n := sink.Len(); n != 0 {
				t.Errorf("got %d spans, want none", n)
			}
			if code := agent.Stop(t); code != 0 {
				t.Errorf("agent ended with %d, want 0", code)
			}
		})
	}
}

// TestConsoleAndOTLP: two exporters at once.
func TestConsoleAndOTLP(t *testing.T) {
	testenv.RequireRoot(t)
	target := testenv.StartTarget(t, httpServer(t, testenv.BuildSpec{Go: "1.26.8", Stripped: true}), nil)
	sink := testenv.NewSink(t)
	agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Env: []string{"OTEL_TRACES_EXPORTER=otlp,console"}, Args: []string{"--pid", strconv.Itoa(target.PID)}})
	agent.WaitTraced(t, target.PID)
	ask(t, target.URL("/hello"))
	sink.Wait(t, 1, 5*time.Second)
	testenv.Eventually(t, 10*time.Second, "the span on the console", func() bool {
		return strings.Contains(agent.Output(), "GET /hello")
	})
}
