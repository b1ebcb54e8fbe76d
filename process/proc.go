package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The most that is read of the files whose size the process itself decides.
const (
	maxStat    = 4 << 10
	maxCommand = 4 << 10
	maxEnviron = 1 << 20
	maxCgroup  = 64 << 10
)

// ticksPerSecond is USER_HZ, the unit of the times in /proc/PID/stat: 100 on every
// architecture that Go supports, whatever the kernel's own HZ is.
// https://github.com/torvalds/linux/blob/v6.18/include/asm-generic/param.h#L9
const ticksPerSecond = 100

// Process is one running process as procfs shows it.
type Process struct {
	PID  int
	PPID int

	// StartTime is when the process started, in clock ticks (1/100 s) since boot.
	// It does not change on exec; with the PID it tells a process from a later one
	// that got the same PID.
	StartTime uint64

	// Exe is the path of the program in the process's own mount namespace, without
	// the " (deleted)" that the kernel appends once the file is gone. To read the
	// program open FS.ExePath, which works across namespaces and after deletion.
	Exe string

	// Command is the first argument of the command line, at most 4 KiB of it.
	Command string

	// Env holds the variables named OTEL_* and REMORA_* of the environment that the
	// process was started with. It is nil when there are none or, EnvDenied, they may not be
	// read: for other users' processes that takes CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE.
	Env       map[string]string
	EnvDenied bool

	// ContainerID is the container's 64 hexadecimal digits, "" outside of containers.
	ContainerID string
}

// Started returns the wall clock time at which the process started, to within the
// second that FS.BootTime is good for.
func (p Process) Started(bootTime time.Time) time.Time {
	seconds := p.StartTime / ticksPerSecond
	ticks := p.StartTime % ticksPerSecond
	return bootTime.
		Add(time.Duration(seconds) * time.Second).
		Add(time.Duration(ticks) * time.Second / ticksPerSecond)
}

// FS reads processes from one mounted procfs.
type FS struct {
	root string
	self int
}

// NewFS returns the procfs mounted at root, normally "/proc". It reads nothing but
// the reader's own PID in that procfs, which differs from os.Getpid when root shows
// another PID namespace.
func NewFS(root string) FS {
	self := os.Getpid()
	if link, err := os.Readlink(filepath.Join(root, "self")); err == nil {
		if pid, err := strconv.Atoi(link); err == nil {
			self = pid
		}
	}
	return FS{root: root, self: self}
}

// ExePath returns the path to open to read the program that pid runs, whatever mount
// namespace it lives in and even if it was deleted since.
func (fs FS) ExePath(pid int) string { return fs.path(pid, "exe") }

// Process reads all about one process. The error satisfies errors.Is(err,
// os.ErrNotExist) when there is none with this PID, when it has exited, and for kernel
// threads; errors.Is(err, os.ErrPermission) when it belongs to somebody else and the
// reader lacks CAP_SYS_PTRACE.
func (fs FS) Process(pid int) (Process, error) {
	link, err := fs.exeLink(pid)
	if err != nil {
		return Process{}, fs.explain(pid, err)
	}
	p, err := fs.identify(pid, link)
	if err != nil {
		return Process{}, err
	}
	return fs.describe(p)
}

// unreachable is an error about a process in the words of its user.
type unreachable struct {
	text  string
	cause error
}

func (u *unreachable) Error() string { return u.text }
func (u *unreachable) Unwrap() error { return u.cause }

// explain says what it means that the program of pid cannot be found out.
func (fs FS) explain(pid int, err error) error {
	if errors.Is(err, os.ErrPermission) {
		return &unreachable{"it belongs to another user or has more privileges (run as root or grant CAP_SYS_PTRACE)", err}
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if _, gone := os.Stat(fs.path(pid, "")); gone != nil {
		return &unreachable{"there is no such process", err}
	}
	return &unreachable{"it runs no program: it is a kernel thread or has exited", err}
}

// Same reports whether p still runs: there is a process with its PID and start time
// that is not a zombie. It may have executed another program since.
func (fs FS) Same(p Process) bool {
	s, err := fs.stat(p.PID)
	return err == nil && s.start == p.StartTime && s.alive()
}

// BootTime returns when the machine started, in whole seconds.
func (fs FS) BootTime() (time.Time, error) {
	path := filepath.Join(fs.root, "stat")
	data, err := os.ReadFile(path)
	if err != nil {
		return time.Time{}, fmt.Errorf("read boot time: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "btime "); ok {
			seconds, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			if err != nil {
				return time.Time{}, fmt.Errorf("read boot time from %s: %w", path, err)
			}
			return time.Unix(seconds, 0), nil
		}
	}
	return time.Time{}, fmt.Errorf("read boot time from %s: no btime line", path)
}

// pids lists the processes there are, kernel threads and zombies included.
func (fs FS) pids() ([]int, error) {
	dir, err := os.Open(fs.root)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	pids := make([]int, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// exeLink returns what the exe link of pid says, " (deleted)" included. Kernel threads
// and zombies have no program: os.ErrNotExist.
func (fs FS) exeLink(pid int) (string, error) {
	link, err := os.Readlink(fs.ExePath(pid))
	if err != nil {
		return "", fmt.Errorf("read program of process %d: %w", pid, absent(err))
	}
	return link, nil
}

// identify reads what tells the process from others: all that a Selector looks at.
func (fs FS) identify(pid int, exeLink string) (Process, error) {
	s, err := fs.stat(pid)
	if err != nil {
		return Process{}, err
	}
	if !s.alive() {
		return Process{}, fmt.Errorf("read process %d: it has exited: %w", pid, os.ErrNotExist)
	}
	return Process{
		PID:       pid,
		PPID:      s.ppid,
		StartTime: s.start,
		Exe:       strings.TrimSuffix(exeLink, " (deleted)"),
	}, nil
}

// describe adds the rest to what identify found. Of the rest, what may not be read is
// left empty; the process is an error only if it is gone.
func (fs FS) describe(p Process) (Process, error) {
	if data, err := fs.read(p.PID, "cmdline", maxCommand); err == nil {
		command, _, _ := bytes.Cut(data, []byte{0})
		p.Command = string(command)
	}
	data, err := fs.read(p.PID, "environ", maxEnviron)
	if err == nil {
		p.Env = parseEnviron(data)
	}
	p.EnvDenied = errors.Is(err, os.ErrPermission)
	if data, err := fs.read(p.PID, "cgroup", maxCgroup); err == nil {
		p.ContainerID = containerID(string(data))
	}
	// The files were read one by one: they are of one process only if it is still there.
	if !fs.Same(p) {
		return Process{}, fmt.Errorf("read process %d: it has exited: %w", p.PID, os.ErrNotExist)
	}
	return p, nil
}

// parseEnviron keeps the variables that the agent uses. A last one that was cut off at
// the size limit is left out: every complete one ends in a zero byte.
func parseEnviron(data []byte) map[string]string {
	var env map[string]string
	for {
		variable, rest, complete := bytes.Cut(data, []byte{0})
		if !complete {
			return env
		}
		data = rest
		name, value, ok := strings.Cut(string(variable), "=")
		if !ok || !strings.HasPrefix(name, "OTEL_") && !strings.HasPrefix(name, "REMORA_") {
			continue
		}
		if env == nil {
			env = make(map[string]string)
		}
		env[name] = value
	}
}

// stat is what is used of /proc/PID/stat.
type stat struct {
	state byte
	ppid  int
	start uint64 // clock ticks since boot
}

// alive reports whether it is neither a zombie nor dead.
func (s stat) alive() bool { return s.state != 'Z' && s.state != 'X' }

func (fs FS) stat(pid int) (stat, error) {
	data, err := fs.read(pid, "stat", maxStat)
	if err != nil {
		return stat{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	s, err := parseStat(data)
	if err != nil {
		return stat{}, fmt.Errorf("parse %s: %w", fs.path(pid, "stat"), err)
	}
	return s, nil
}

// parseStat reads fields 3 (state), 4 (parent) and 22 (start time) of proc_pid_stat(5).
// Field 2 is the program's name in parentheses, which may itself hold spaces,
// parentheses and newlines: what follows starts after the last closing one.
func parseStat(data []byte) (stat, error) {
	end := bytes.LastIndexByte(data, ')')
	fields := bytes.Fields(data[end+1:])
	const first = 3 // the number of fields[0]
	if end < 0 || len(fields) <= 22-first {
		return stat{}, errors.New("too few fields")
	}
	ppid, err := strconv.Atoi(string(fields[4-first]))
	if err != nil {
		return stat{}, fmt.Errorf("parent: %w", err)
	}
	start, err := strconv.ParseUint(string(fields[22-first]), 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("start time: %w", err)
	}
	return stat{state: fields[0][0], ppid: ppid, start: start}, nil
}

// read returns at most limit bytes of a file of pid's directory.
func (fs FS) read(pid int, name string, limit int64) ([]byte, error) {
	f, err := os.Open(fs.path(pid, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit))
	return data, absent(err)
}

func (fs FS) path(pid int, name string) string {
	return filepath.Join(fs.root, strconv.Itoa(pid), name)
}

// absent makes of ESRCH, with which procfs answers for a process that exits while its
// files are open, the os.ErrNotExist that opening them would have given.
func absent(err error) error {
	if errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%w (%w)", os.ErrNotExist, err)
	}
	return err
}
