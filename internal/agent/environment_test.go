package agent

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/remora-agent/remora/process"
)

func TestWarnEnvironment(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	a := &Agent{targets: newTargets(), cfg: Config{
		Log:    zap.New(core),
		Getenv: func(name string) string { return map[string]string{attributesVariable: "team"}[name] },
	}}
	attributes := func(s string) map[string]string { return map[string]string{attributesVariable: s} }
	const discarded = "the process's resource attributes are discarded, all of them"
	const unseen = "OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES of programs are not seen where their environment cannot be read (said once)"
	steps := []struct {
		process process.Process
		other   bool // no target
		want    []string
	}{
		{process.Process{PID: 1, Env: attributes("a=b")}, false, nil},
		{process.Process{PID: 2}, false, nil},
		{process.Process{PID: 3, Env: attributes("a=b,c")}, false, []string{discarded}},
		{process.Process{PID: 4, Env: attributes("a=b,c")}, true, nil},
		{process.Process{PID: 5, Env: attributes("team")}, false, nil}, // the agent's own
		{process.Process{PID: 6, EnvDenied: true}, true, nil},
		{process.Process{PID: 7, EnvDenied: true}, false, []string{unseen}},
		{process.Process{PID: 8, EnvDenied: true}, false, nil},
	}
	for _, step := range steps {
		if !step.other {
			a.targets.put(&target{id: uint32(step.process.PID), process: step.process})
		}
		a.warnEnvironment(step.process)
		if diff := cmp.Diff(step.want, messages(logs)); diff != "" {
			t.Errorf("process %d: %s", step.process.PID, diff)
		}
	}
	a.warnOwnAttributes()
	if diff := cmp.Diff([]string{"the agent's resource attributes are discarded, all of them"}, messages(logs)); diff != "" {
		t.Error(diff)
	}
}

// messages takes what was logged.
func messages(logs *observer.ObservedLogs) (list []string) {
	for _, entry := range logs.TakeAll() {
		list = append(list, entry.Message)
	}
	return list
}
