package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeProcess is one process directory of a made-up procfs.
type fakeProcess struct {
	pid, ppid int
	start     uint64
	state     string // "S" if empty
	exe       string // no exe link if empty, as kernel threads have it
	environ   string
	cgroup    string
	noArgs    bool // as in the middle of an exec
}

// write creates the directory, or replaces the one of a process that had the PID.
func (f fakeProcess) write(t *testing.T, root string) {
	t.Helper()
	dir := filepath.Join(root, strconv.Itoa(f.pid))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if f.exe != "" {
		if err := os.Symlink(f.exe, filepath.Join(dir, "exe")); err != nil {
			t.Fatal(err)
		}
	}
	if f.state == "" {
		f.state = "S"
	}
	files := map[string]string{
		"stat": fmt.Sprintf("%d (odd) S (name) %s %d 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 %d 99 1 2\n",
			f.pid, f.state, f.ppid, f.start),
		"cmdline": f.exe + "\x00-flag\x00",
		"environ": f.environ,
		"cgroup":  f.cgroup,
	}
	if f.noArgs {
		files["cmdline"] = ""
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func fakeProc(t *testing.T, processes ...fakeProcess) (root string) {
	t.Helper()
	root = t.TempDir()
	for _, p := range processes {
		p.write(t, root)
	}
	return root
}

// startChild runs a command that the test's end kills.
func startChild(t *testing.T, env []string, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = env
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

// eventually polls until ok; starting and killing processes takes effect in its time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if ok() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%s: not within 5 s", what)
}

func TestProcess(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	root := fakeProc(t,
		fakeProcess{
			pid: 7, ppid: 3, start: 12345, exe: "/srv/app (deleted)",
			environ: "PATH=/bin\x00OTEL_SERVICE_NAME=shop=1\x00OTEL\x00REMORA_LISTEN=\x00OTEL_CUT=of",
			cgroup:  "0::/system.slice/docker-" + id + ".scope\n",
		},
		fakeProcess{pid: 2, start: 1},
		fakeProcess{pid: 9, start: 1, exe: "/bin/z", state: "Z"},
	)
	fs := NewFS(root)
	got, err := fs.Process(7)
	if err != nil {
		t.Fatal(err)
	}
	want := Process{
		PID: 7, PPID: 3, StartTime: 12345, Exe: "/srv/app", Command: "/srv/app (deleted)",
		Env:         map[string]string{"OTEL_SERVICE_NAME": "shop=1", "REMORA_LISTEN": ""},
		ContainerID: id,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for pid, what := range map[int]string{2: "kernel thread", 9: "zombie", 4711: "nobody"} {
		if _, err := fs.Process(pid); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: got error %v, want os.ErrNotExist", what, err)
		}
	}
	later := got
	later.StartTime++
	if !fs.Same(got) || fs.Same(later) || fs.Same(Process{PID: 9, StartTime: 1}) {
		t.Error("Same must be true for the process, false for a later one and for a zombie")
	}
}

func TestProcessReal(t *testing.T) {
	fs := NewFS("/proc")
	before := time.Now()
	cmd := startChild(t, []string{"OTEL_SERVICE_NAME=x", "HOME=/"}, "sleep", "60")
	var got Process
	eventually(t, "exec of sleep", func() bool {
		var err error
		got, err = fs.Process(cmd.Process.Pid)
		return err == nil && strings.Contains(got.Command, "sleep")
	})
	exe, err := filepath.EvalSymlinks(cmd.Path)
	if err != nil {
		t.Fatal(err)
	}
	want := Process{
		PID: cmd.Process.Pid, PPID: os.Getpid(), StartTime: got.StartTime, Exe: exe, Command: "sleep",
		Env: map[string]string{"OTEL_SERVICE_NAME": "x"}, ContainerID: got.ContainerID,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	boot, err := fs.BootTime()
	if err != nil {
		t.Fatal(err)
	}
	if started := got.Started(boot); started.Sub(before).Abs() > 3*time.Second {
		t.Errorf("started at %v, want about %v", started, before)
	}
	cmd.Process.Kill()
	eventually(t, "exit of sleep", func() bool { return !fs.Same(got) })
	if _, err := fs.Process(got.PID); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("zombie: got error %v, want os.ErrNotExist", err)
	}
	cmd.Wait()
	if _, err := fs.Process(got.PID); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("reaped: got error %v, want os.ErrNotExist", err)
	}
}

func TestParseStat(t *testing.T) {
	const rest = " S 42 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 99"
	tests := map[string]struct {
		text string
		want stat
		err  bool
	}{
		"plain":       {"1 (sh)" + rest, stat{'S', 42, 777}, false},
		"parentheses": {"1 (a) R 1 (b)" + rest, stat{'S', 42, 777}, false},
		"newline":     {"1 (a\nb)" + rest, stat{'S', 42, 777}, false},
		"empty":       {"", stat{}, true},
		"no name":     {"1" + rest, stat{}, true},
		"cut":         {"1 (sh) S 42 1 1", stat{}, true},
		"bad parent":  {"1 (sh) S x 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777", stat{}, true},
		"bad start":   {"1 (sh) S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 -777", stat{}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseStat([]byte(tt.text))
			if got != tt.want || (err != nil) != tt.err {
				t.Errorf("got %+v, %v; want %+v, error: %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("1 (sh) S 42 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 99"))
	f.Add([]byte(")"))
	f.Fuzz(func(t *testing.T, data []byte) { parseStat(data) })
}

// FuzzParseProc: what a process may write into its files of /proc, its environment and its control group, is read or left.
func FuzzParseProc(f *testing.F) {
	f.Add([]byte("A=b\x00C=\x00=d\x00E"))
	f.Add([]byte("0::/system.slice/docker-" + strings.Repeat("0123456789abcdef", 4) + ".scope\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for name := range parseEnviron(data) {
			if strings.Contains(name, "=") {
				t.Errorf("a variable is named %q", name)
			}
		}
		if id := containerID(string(data)); !strings.Contains(string(data), id) {
			t.Errorf("container %q", id)
		}
	})
}
