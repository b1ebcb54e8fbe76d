package process

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// seen is a Process as the scan tests compare it.
type seen struct {
	PID   int
	Start uint64
	Exe   string
}

func scan(t *testing.T, s *Scanner) (appeared, gone []seen) {
	t.Helper()
	a, g, err := s.Scan()
	if err != nil {
		t.Fatal(err)
	}
	brief := func(processes []Process) (all []seen) {
		for _, p := range processes {
			all = append(all, seen{p.PID, p.StartTime, p.Exe})
		}
		return all
	}
	return brief(a), brief(g)
}

// scanStep changes a made-up procfs and says what the next scan must report.
type scanStep struct {
	what           string
	write          []fakeProcess
	remove         []int
	appeared, gone []seen
}

func TestScan(t *testing.T) {
	app := fakeProcess{pid: 5, ppid: 1, start: 50, exe: "/srv/app"}
	tests := map[string]struct {
		sel   Selector
		steps []scanStep
	}{
		"by program": {Selector{Exe: []string{"app"}}, []scanStep{
			{what: "others", write: []fakeProcess{{pid: 2}, {pid: 3, exe: "/bin/sh"}, {pid: 4, exe: "/srv/app", state: "Z"}}},
			{what: "starts", write: []fakeProcess{app}, appeared: []seen{{5, 50, "/srv/app"}}},
			{what: "runs on"},
			{what: "replaced on disk", write: []fakeProcess{{pid: 5, start: 50, exe: "/srv/app (deleted)"}}},
			{what: "executes another", write: []fakeProcess{{pid: 5, start: 50, exe: "/bin/sh"}}, gone: []seen{{5, 50, "/srv/app"}}},
			{what: "and back", write: []fakeProcess{app}, appeared: []seen{{5, 50, "/srv/app"}}},
			{what: "PID reused, same program", write: []fakeProcess{{pid: 5, start: 60, exe: "/srv/app"}},
				appeared: []seen{{5, 60, "/srv/app"}}, gone: []seen{{5, 50, "/srv/app"}}},
			{what: "exits", remove: []int{5}, gone: []seen{{5, 60, "/srv/app"}}},
			{what: "starts again", write: []fakeProcess{{pid: 8, start: 70, exe: "/opt/app"}}, appeared: []seen{{8, 70, "/opt/app"}}},
			{what: "zombie", write: []fakeProcess{{pid: 8, start: 70, exe: "/opt/app", state: "Z"}}, gone: []seen{{8, 70, "/opt/app"}}},
		}},
		"in the middle of an exec": {Selector{Exe: []string{"app"}}, []scanStep{
			{what: "no arguments yet", write: []fakeProcess{{pid: 5, start: 50, exe: "/srv/app", noArgs: true}}},
			{what: "arguments", write: []fakeProcess{app}, appeared: []seen{{5, 50, "/srv/app"}}},
			{what: "another", write: []fakeProcess{{pid: 6, start: 60, exe: "/srv/app", noArgs: true}}},
			{what: "that has none", appeared: []seen{{6, 60, "/srv/app"}}},
		}},
		"by PID": {Selector{PIDs: []int{5}}, []scanStep{
			{what: "not yet"},
			{what: "starts", write: []fakeProcess{app}, appeared: []seen{{5, 50, "/srv/app"}}},
			{what: "executes another", write: []fakeProcess{{pid: 5, start: 50, exe: "/bin/sh"}},
				appeared: []seen{{5, 50, "/bin/sh"}}, gone: []seen{{5, 50, "/srv/app"}}},
			{what: "PID reused", write: []fakeProcess{{pid: 5, start: 60, exe: "/bin/sh"}}, gone: []seen{{5, 50, "/bin/sh"}}},
		}},
		"by PID, freed": {Selector{PIDs: []int{5}}, []scanStep{
			{what: "runs", write: []fakeProcess{app}, appeared: []seen{{5, 50, "/srv/app"}}},
			{what: "exits", remove: []int{5}, gone: []seen{{5, 50, "/srv/app"}}},
			{what: "PID reused", write: []fakeProcess{app}},
		}},
		"descendants": {Selector{Descendants: []int{5}}, []scanStep{
			{what: "a tree", write: []fakeProcess{
				{pid: 1, exe: "/init"}, {pid: 5, ppid: 1, exe: "/sh"}, {pid: 6, ppid: 5, exe: "/sh"}, {pid: 7, ppid: 1, exe: "/sh"}},
				appeared: []seen{{5, 0, "/sh"}, {6, 0, "/sh"}}},
			{what: "orphaned", write: []fakeProcess{{pid: 6, ppid: 1, exe: "/sh"}}, remove: []int{5}, gone: []seen{{5, 0, "/sh"}}},
			{what: "the orphan's child", write: []fakeProcess{{pid: 8, ppid: 6, exe: "/app"}}, appeared: []seen{{8, 0, "/app"}}},
			{what: "the orphan executes", write: []fakeProcess{{pid: 6, ppid: 1, exe: "/app"}},
				appeared: []seen{{6, 0, "/app"}}, gone: []seen{{6, 0, "/sh"}}},
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			s := NewScanner(NewFS(root), tt.sel)
			for _, step := range tt.steps {
				for _, pid := range step.remove {
					if err := os.RemoveAll(filepath.Join(root, strconv.Itoa(pid))); err != nil {
						t.Fatal(err)
					}
				}
				for _, p := range step.write {
					p.write(t, root)
				}
				appeared, gone := scan(t, s)
				if diff := cmp.Diff(step.appeared, appeared); diff != "" {
					t.Errorf("%s: appeared: %s", step.what, diff)
				}
				if diff := cmp.Diff(step.gone, gone); diff != "" {
					t.Errorf("%s: gone: %s", step.what, diff)
				}
			}
		})
	}
}

// TestUnmatched: a pattern is unmatched while no process runs it, one in the middle of an exec included.
func TestUnmatched(t *testing.T) {
	root := fakeProc(t, fakeProcess{pid: 5, exe: "/srv/app"}, fakeProcess{pid: 6, exe: "/srv/new", noArgs: true}, fakeProcess{pid: 7, exe: "/bin/sh"})
	s := NewScanner(NewFS(root), Selector{Exe: []string{"app", "/srv/n*", "other", "/opt/**"}})
	scan(t, s)
	if diff := cmp.Diff([]string{"other", "/opt/**"}, s.Unmatched()); diff != "" {
		t.Error(diff)
	}
}

// unprivileged runs the test anew as another user with these capabilities; it is false in that run.
func unprivileged(t *testing.T, capabilities ...uintptr) bool {
	t.Helper()
	const variable = "REMORA_TEST_UNPRIVILEGED"
	if os.Getenv(variable) != "" {
		return false
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: becomes another user")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = []string{variable + "=yes"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: capabilities}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return true
}

// TestDenied: without CAP_SYS_PTRACE other users' processes are counted, kernel threads are not.
func TestDenied(t *testing.T) {
	if unprivileged(t) {
		return
	}
	fs := NewFS("/proc")
	s := NewScanner(fs, Selector{Exe: []string{"none"}})
	scan(t, s)
	if n := s.Denied(); n == 0 || kernelThreads() && n == len(s.denied) {
		t.Errorf("%d processes of %d", n, len(s.denied))
	}
	if _, err := fs.Process(os.Getppid()); !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "CAP_SYS_PTRACE") {
		t.Errorf("got %v, want the remedy", err)
	}
}

// TestEnvDenied: a process can be seen with CAP_SYS_PTRACE, its environment cannot.
func TestEnvDenied(t *testing.T) {
	if unprivileged(t, unix.CAP_SYS_PTRACE) {
		return
	}
	for pid, want := range map[int]bool{os.Getpid(): false, os.Getppid(): true} {
		if p, err := NewFS("/proc").Process(pid); err != nil || p.EnvDenied != want {
			t.Errorf("%v, %+v, want EnvDenied %t", err, p, want)
		}
	}
}

// kernelThreads says whether this PID namespace shows them.
func kernelThreads() bool {
	name, err := os.ReadFile("/proc/2/comm")
	return err == nil && string(name) == "kthreadd\n"
}

func TestScanUnreadable(t *testing.T) {
	s := NewScanner(NewFS(filepath.Join(t.TempDir(), "none")), Selector{})
	if _, _, err := s.Scan(); err == nil {
		t.Error("no error for a procfs that is not there")
	}
}

// TestUnseen: a target that the reader had no file left to look at is none that is gone.
func TestUnseen(t *testing.T) {
	target := known{target: true, process: Process{PID: 1}}
	for err, want := range map[error]bool{unix.EMFILE: true, unix.ENOMEM: true, os.ErrNotExist: false, os.ErrPermission: false, absent(unix.ESRCH): false} {
		if k, ok := target.unseen(err); ok != want || k.same(target) != want {
			t.Errorf("%v: %v, want %v", err, ok, want)
		}
		if _, ok := (known{}).unseen(err); ok {
			t.Errorf("%v: no target became one", err)
		}
	}
}

// copyOfSleep is a program of the test's own, so that no other process runs it.
func copyOfSleep(t *testing.T) string {
	t.Helper()
	source, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sleepy")
	replaceFile(t, path, data)
	return path
}

// replaceFile puts a new file at the path, as an installer does.
func replaceFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestScanReal(t *testing.T) {
	sleepy := copyOfSleep(t)
	s := NewScanner(NewFS("/proc"), Selector{Exe: []string{sleepy}})
	cmd := exec.Command("sh", "-c", `read line; exec "$0" 60`, sleepy)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if appeared, gone := scan(t, s); appeared != nil || gone != nil {
		t.Fatalf("before the exec: appeared %v, gone %v", appeared, gone)
	}

	io.WriteString(stdin, "go\n")
	var appeared []seen
	eventually(t, "exec", func() bool {
		appeared, _ = scan(t, s)
		return appeared != nil
	})
	if len(appeared) != 1 || appeared[0].PID != cmd.Process.Pid || appeared[0].Exe != sleepy {
		t.Errorf("appeared %v, want PID %d, %s", appeared, cmd.Process.Pid, sleepy)
	}

	moved := sleepy + ".old"
	if err := os.Rename(sleepy, moved); err != nil {
		t.Fatal(err)
	}
	if a, g := scan(t, s); a != nil || g != nil {
		t.Errorf("moving the program: appeared %v, gone %v", a, g)
	}
	if err := os.Remove(moved); err != nil {
		t.Fatal(err)
	}
	if a, g := scan(t, s); a != nil || g != nil {
		t.Errorf("deleting the program: appeared %v, gone %v", a, g)
	}

	cmd.Process.Kill()
	var gone []seen
	eventually(t, "exit", func() bool {
		_, gone = scan(t, s)
		return gone != nil
	})
	if diff := cmp.Diff(appeared, gone); diff != "" {
		t.Error(diff)
	}
}

// An upgrade in place: the process executes the new file at the path of the old one.
func TestScanReplacedAndExecuted(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(sh)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	shell := filepath.Join(dir, "sh")
	replaceFile(t, shell, data)
	s := NewScanner(NewFS("/proc"), Selector{Exe: []string{shell}})
	cmd := exec.Command(shell, "-c", `read line; exec "$0" -c "echo ready; read line"`, shell)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	first, _ := scan(t, s)
	if len(first) != 1 {
		t.Fatalf("appeared %v, want one", first)
	}

	replaceFile(t, shell, data)
	io.WriteString(stdin, "go\n")
	stdout.Read(make([]byte, 16))
	appeared, gone := scan(t, s)
	if diff := cmp.Diff(first, appeared); diff != "" {
		t.Errorf("appeared: %s", diff)
	}
	if diff := cmp.Diff(first, gone); diff != "" {
		t.Errorf("gone: %s", diff)
	}
}

func BenchmarkScan(b *testing.B) {
	s := NewScanner(NewFS("/proc"), Selector{Exe: []string{"none"}})
	for b.Loop() {
		if _, _, err := s.Scan(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(s.known)), "processes")
}
