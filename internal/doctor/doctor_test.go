package doctor

import (
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/remora-agent/remora/bpf"
)

// row is a Check as the tests of reports compare it.
type row struct {
	Status      Status
	Detail      string
	Consequence string
	Remedy      string
}

func TestReport(t *testing.T) {
	refused := &bpf.Unavailable{Operation: "load BPF programs", Cause: os.ErrPermission, Remedy: "run as root"}
	const noTrace = "nothing can be traced"
	const notTried = "not tried, because BPF programs do not load"
	tests := map[string]struct {
		change  func(*findings)
		healthy bool
		want    map[string]row // the rows that are not as on a good machine
	}{
		"all well": {func(*findings) {}, true, nil},
		"locked down": {
			func(f *findings) {
				f.userWrites = &bpf.Unavailable{
					Operation: "write", Cause: errors.New("locked down"), Remedy: "boot otherwise"}
				f.registerWrites = errors.New("old kernel")
			}, true, map[string]row{
				"user writes": {Warning, "cannot write: locked down",
					"traceparent cannot be written into requests; every span is still made", "boot otherwise"},
				"register writes": {Warning, "old kernel",
					"probes on instructions that the kernel does not emulate, such as RET, cost a second trap, and " +
						"traceparent cannot be steered into requests; every span is still made", ""},
				"propagation": {Warning, "neither register writes nor user writes are allowed",
					"outgoing requests carry no traceparent; every span is still made", "see register writes and user writes"},
			},
		},
		"locked down, new kernel": {
			func(f *findings) { f.userWrites = errors.New("locked down") }, true, map[string]row{
				"user writes": {OK, "locked down; steering does without", "", ""},
				"propagation": {OK, "by steering: the program's own functions write traceparent, no byte of its memory is written", "", ""},
			},
		},
		"no uprobe_multi": {
			func(f *findings) { f.uprobeMulti = errors.New("old kernel") }, true, map[string]row{
				"uprobe_multi": {Warning, "old kernel",
					"probes are attached one by one, which takes about four times as long", ""},
			},
		},
		"no CAP_SYS_ADMIN": {
			func(f *findings) { f.uprobes = errors.New("refused") }, true, map[string]row{
				"uprobes": {OK, "refused; uprobe_multi does without", "", ""},
			},
		},
		"no uprobes at all": {
			func(f *findings) { f.uprobes, f.uprobeMulti = refused, refused }, false, map[string]row{
				"uprobes":      {Missing, "cannot load BPF programs: permission denied", noTrace, "run as root"},
				"uprobe_multi": {Missing, "cannot load BPF programs: permission denied", noTrace, "run as root"},
			},
		},
		"no BPF": {
			func(f *findings) {
				f.bpf, f.uprobes, f.uprobeMulti, f.attachCookie, f.ringBuffer = refused, refused, refused, refused, refused
			}, false, map[string]row{
				"BPF programs":   {Missing, "cannot load BPF programs: permission denied", noTrace, "run as root"},
				"ring buffer":    {Missing, notTried, noTrace, "see BPF programs"},
				"uprobes":        {Missing, notTried, noTrace, "see BPF programs"},
				"uprobe_multi":   {Missing, notTried, noTrace, "see BPF programs"},
				"attach cookies": {Warning, notTried, "what needs them is left out", "see BPF programs"},
			},
		},
		"container": {
			func(f *findings) {
				f.hostPIDNamespace, f.hostUserNamespace, f.seccomp, f.capabilities = false, false, true, 0
				f.perfEventParanoid.known = false
			}, true, map[string]row{
				"kernel": {OK, "Linux 6.18, amd64, lockdown none, perf_event_paranoid absent, ptrace_scope 1", "", ""},
				"privileges": {OK,
					"none that matters, in a user namespace, where they do not count, under a seccomp filter", "", ""},
				"PID namespace": {Warning, "a container's own",
					"only processes of this container can be found and traced",
					"run with the machine's PIDs (Kubernetes: hostPID: true; Docker: --pid=host)"},
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			good := findings{
				release: "6.18", architecture: "amd64", lockdown: bpf.LockdownNone,
				hostPIDNamespace: true, hostUserNamespace: true, capabilities: 1<<bpf.CapBPF | 1<<bpf.CapSysPtrace,
				perfEventParanoid: setting{2, true}, ptraceScope: setting{1, true},
			}
			want := rows(report(good))
			for name, r := range tt.want {
				want[name] = r
			}
			tt.change(&good)
			checks := report(good)
			if diff := cmp.Diff(want, rows(checks)); diff != "" {
				t.Error(diff)
			}
			if Healthy(checks) != tt.healthy {
				t.Errorf("healthy: %v, want %v", !tt.healthy, tt.healthy)
			}
		})
	}
}

func rows(checks []Check) map[string]row {
	all := make(map[string]row)
	for _, c := range checks {
		all[c.Name] = row{c.Status, c.Detail, c.Consequence, c.Remedy}
	}
	return all
}

func TestReportGood(t *testing.T) {
	for _, c := range report(findings{hostPIDNamespace: true, hostUserNamespace: true}) {
		if c.Status != OK || c.Detail == "" || c.Consequence != "" || c.Remedy != "" {
			t.Errorf("nothing is wrong, but got %+v", c)
		}
	}
}

// Whatever this machine lets the test do, each row that is not ok says what follows.
func TestRun(t *testing.T) {
	checks := Run(bpf.Probe())
	for _, c := range checks {
		if c.Status != OK && (c.Consequence == "" || c.Remedy == "") {
			t.Errorf("no consequence or no remedy: %+v", c)
		}
	}
	data, err := json.Marshal(checks)
	if err != nil {
		t.Fatal(err)
	}
	var back []Check
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(checks, back); diff != "" {
		t.Error(diff)
	}
	if testing.Verbose() {
		WriteText(t.Output(), checks, false)
	}
}
