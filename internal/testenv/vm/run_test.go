package vm

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
)

// TestRun boots one kernel, if it is at hand, and runs a shell in it.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := Available("amd64"); err != nil {
		t.Skip(err)
	}
	k, err := kernel("6.12", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	if !k.cached() {
		t.Skip("needs a kernel: make test-kernel fetches it")
	}
	var out bytes.Buffer
	status, err := k.Run(ctx, Command{
		Args:    []string{"/bin/sh", "-c", "uname -r; pwd; echo $GREETING; ls $TMPDIR; grep -o lockdown=.* /proc/cmdline; exit 7"},
		Dir:     "/usr",
		Env:     []string{"GREETING=hello", "PATH=/usr/bin:/bin"},
		Output:  &out,
		Cmdline: "lockdown=integrity",
	})
	if err != nil || status != 7 {
		t.Fatalf("got status %d, %v, want 7\n%s", status, err, out.String())
	}
	lines := strings.Split(out.String(), "\n")
	if !strings.HasPrefix(lines[0], "6.12.") || strings.Join(lines[1:], "|") != "/usr|hello|lockdown=integrity|" {
		t.Errorf("got output\n%s", out.String())
	}
}
