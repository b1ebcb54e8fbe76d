package inside

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/doctor"
	"github.com/remora-agent/remora/internal/testenv"
)

// version is a kernel's: {6, 12}.
type version [2]int

func (v version) before(w version) bool { return v[0] < w[0] || v[0] == w[0] && v[1] < w[1] }

// since says which kernel brought a feature, by the doctor's name for it.
func since() map[string]version {
	return map[string]version{
		"BPF programs":    {0, 0},
		"ring buffer":     {5, 8},
		"uprobes":         {0, 0},
		"attach cookies":  {5, 15},
		"bpf_loop":        {5, 17},
		"uprobe_multi":    {6, 6},
		"user writes":     {0, 0},
		"register writes": {6, 19},
	}
}

// TestDoctor compares what the doctor finds with what this kernel is known to have.
func TestDoctor(t *testing.T) {
	testenv.RequireRoot(t)
	var here version
	if _, err := fmt.Sscanf(bpf.Probe().Release(), "%d.%d", &here[0], &here[1]); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := testenv.Run(t, "doctor", "--json")
	if code != 0 {
		t.Fatalf("doctor ended with %d: %s", code, stderr)
	}
	var checks []doctor.Check
	if err := json.Unmarshal([]byte(stdout), &checks); err != nil {
		t.Fatal(err)
	}
	want, got := map[string]bool{}, map[string]bool{}
	for name, v := range since() {
		want[name] = !here.before(v)
	}
	if lockedDown(t) {
		want["user writes"] = want["register writes"] // steering does without
	}
	if runtime.GOARCH != "amd64" || here == (version{6, 18}) {
		delete(want, "register writes") // known of amd64 only; Debian's 6.18.15 has them, a 6.18.44 of another configuration has not
	}
	for _, c := range checks {
		if _, ok := want[c.Name]; ok {
			got[c.Name] = c.Status == doctor.OK
		}
		t.Logf("%s: %s: %s", c.Name, c.Status, c.Detail)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !doctor.Healthy(checks) {
		t.Error("the doctor says that nothing can be traced")
	}
}

// lockedDown says whether the kernel is known to be; where securityfs is not mounted, it may be anyway.
func lockedDown(t *testing.T) bool {
	if _, err := os.Stat("/sys/kernel/security/lockdown"); err != nil {
		t.Skip("needs securityfs: whether this kernel is locked down is not known")
	}
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(cmdline), "lockdown=")
}
