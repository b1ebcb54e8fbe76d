package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/remora-agent/remora/internal/testenv"
)

// TestOpenRunning opens the file that a process runs, whatever became of its path.
func TestOpenRunning(t *testing.T) {
	built := testenv.Build(t, testenv.BuildSpec{Dir: "testdata/server", Go: "1.26.8"})
	want := openBinary(t, built).Functions("main.main")
	open := func(t *testing.T, pid int) *Binary {
		t.Helper()
		b := openBinary(t, NewFS("/proc").ExePath(pid))
		if diff := cmp.Diff(want, b.Functions("main.main")); diff != "" {
			t.Errorf("(-built +running):\n%s", diff)
		}
		return b
	}
	t.Run("deleted", func(t *testing.T) {
		path := testenv.Copy(t, built, "server")
		pid := start(t, exec.Command(path))
		before := open(t, pid).ID
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if after := open(t, pid).ID; after != before {
			t.Errorf("ID of the deleted file %+v, before that %+v", after, before)
		}
	})
	t.Run("replaced", func(t *testing.T) {
		path := testenv.Copy(t, built, "server")
		pid := start(t, exec.Command(path))
		other, err := os.ReadFile(buildFixture(t, stripped(buildSpec{Go: "1.27.4"})))
		if err != nil {
			t.Fatal(err)
		}
		replaceFile(t, path, other)
		running, onDisk := open(t, pid), openBinary(t, path)
		if running.ID == onDisk.ID || running.GoVersion == onDisk.GoVersion {
			t.Errorf("the file on disk, %v, is taken for the running %v", onDisk.ID, running.ID)
		}
	})
	t.Run("in another mount namespace", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("needs root: makes a mount namespace")
		}
		dir := t.TempDir()
		const script = `mount -t tmpfs none "$1" && cp "$0" "$1/server" && exec "$1/server"`
		cmd := exec.Command("sh", "-c", script, built, dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		pid := start(t, cmd)
		eventually(t, "the exec", func() bool {
			exe, err := os.Readlink(NewFS("/proc").ExePath(pid))
			return err == nil && exe == filepath.Join(dir, "server")
		})
		open(t, pid)
		if _, err := os.Stat(filepath.Join(dir, "server")); !os.IsNotExist(err) {
			t.Errorf("the file is in the test's own namespace too: %v", err)
		}
	})
}

// start starts a process for the length of the test and returns its ID.
func start(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait() // killed: an error is what it returns
	})
	return cmd.Process.Pid
}
