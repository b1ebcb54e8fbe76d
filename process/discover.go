// Package process finds running processes and reads what their binaries say.
package process

import (
	"errors"
	"maps"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Scanner finds the targets that appear and leave between one scan and the next. It
// keeps no file open and starts no goroutine; it is not safe for concurrent use.
//
// A scan costs one listing of the procfs and one readlink per process (about 2 µs), a
// read of stat for each new process and each target, and the rest for each new target.
type Scanner struct {
	fs     FS
	sel    Selector
	known  map[int]known
	denied []int // what the last scan was not allowed to look at, kernel threads included
}

// known is what the last scan found at a PID.
type known struct {
	exeLink string
	target  bool
	descend bool    // a target for being a descendant
	pending bool    // a target in the middle of an exec, for the next scan
	process Process // complete if target
	file    fileID  // of the program, if target
}

// fileID tells a program from another one that replaced it at the same path.
type fileID struct{ device, inode uint64 }

// NewScanner returns a Scanner whose first Scan finds all targets that run already.
func NewScanner(fs FS, sel Selector) *Scanner {
	sel.PIDs = slices.Clone(sel.PIDs)
	return &Scanner{fs: fs, sel: sel, known: make(map[int]known)}
}

// Scan returns the targets that are new since the last scan and those that are gone,
// each in ascending order of PID. Handle gone first: a target that executed another
// program is in gone as it was and, if it is still a target, in appeared as it is; so
// is a PID that went to another process. A process that started and exited between two
// scans is in neither, nor is a target that executed the very same file again. Kernel threads and zombies are no targets, nor are processes
// that the reader may not look at.
//
// An entry of Selector.PIDs names one process: when that is gone, the next process to
// get the PID is no target. Descendants stay targets when their ancestors exit, but one
// that is orphaned before it was ever scanned is not found, unless the ancestor that
// the Selector lists adopts orphans (prctl PR_SET_CHILD_SUBREAPER).
//
// An error means that the procfs cannot be listed; nothing changed then.
func (s *Scanner) Scan() (appeared, gone []Process, err error) {
	pids, err := s.fs.pids()
	if err != nil {
		return nil, nil, err
	}
	slices.Sort(pids)
	s.denied = s.denied[:0]
	now := make(map[int]known, len(pids))
	for _, pid := range pids {
		before, seen := s.known[pid]
		k, ok := s.look(pid, before, seen)
		if !ok {
			continue
		}
		now[pid] = k
		if k.target && !(before.target && before.same(k)) {
			appeared = append(appeared, k.process)
		}
	}
	for pid, before := range s.known {
		if before.target && !before.same(now[pid]) {
			gone = append(gone, before.process)
		}
		if _, ok := now[pid]; before.target && !ok {
			s.release(pid)
		}
	}
	slices.SortFunc(gone, func(a, b Process) int { return a.PID - b.PID })
	s.known = now
	return appeared, gone, nil
}

// look finds what is at a PID now. It is false for what is no target and need not be
// remembered.
func (s *Scanner) look(pid int, before known, seen bool) (known, bool) {
	link, err := s.fs.exeLink(pid)
	if err != nil {
		if errors.Is(err, os.ErrPermission) {
			s.denied = append(s.denied, pid)
		}
		return before.unseen(err)
	}
	if seen && !before.target && !before.pending && before.exeLink == link {
		// A PID that changed hands within one interval and shows the same program both
		// times is not told apart here: at worst a descendant is found at its next exec.
		return before, true
	}
	p, err := s.fs.identify(pid, link)
	if err != nil {
		return before.unseen(err)
	}
	if before.target && before.process.StartTime != p.StartTime {
		s.release(pid)
		before = known{}
	}
	k := known{exeLink: link, process: p, file: s.fs.file(pid)}
	if before.target && before.same(k) {
		before.exeLink = link // " (deleted)" may have come
		return before, true
	}
	k.descend = before.descend || s.known[p.PPID].descend || s.sel.matchAncestor(s.fs, p)
	if p.PID == s.fs.self || !k.descend && !s.sel.Match(s.fs, p) {
		return known{exeLink: link}, true
	}
	k.process, err = s.fs.describe(p)
	if err != nil {
		return known{}, false
	}
	if k.process.Command == "" && !before.pending {
		// During an exec the exe link is the new program's before there are arguments
		// and environment. Some programs have really none, so one more scan must do.
		return known{exeLink: link, process: p, pending: true}, true
	}
	k.target = true
	return k, true
}

// Denied returns how many processes the last scan was not allowed to look at.
func (s *Scanner) Denied() (n int) {
	for _, pid := range s.denied {
		// Everybody may read the arguments, and kernel threads, which are no targets anyway, have none.
		if arguments, err := s.fs.read(pid, "cmdline", 1); err == nil && len(arguments) > 0 {
			n++
		}
	}
	return n
}

// Unmatched returns what of Selector.Exe no process ran at the last scan.
func (s *Scanner) Unmatched() []string {
	unmatched := slices.Clone(s.sel.Exe)
	for k := range maps.Values(s.known) {
		if k.target || k.pending {
			unmatched = slices.DeleteFunc(unmatched, func(pattern string) bool { return matchExe(pattern, k.process.Exe) })
		}
	}
	return unmatched
}

// release takes a PID that is free again from the selection.
func (s *Scanner) release(pid int) {
	s.sel.PIDs = slices.DeleteFunc(s.sel.PIDs, func(p int) bool { return p == pid })
}

// unseen is what is known of a process that could not be looked at. If the reason is no word of the process, but that the reader has no
// more files or memory, a target goes on to be one.
func (k known) unseen(err error) (known, bool) {
	if k.target && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrPermission) {
		return k, true
	}
	return known{}, false
}

// same reports whether both are the same process running the same program. Its file may get another name meanwhile.
func (k known) same(other known) bool {
	program := k.file == other.file
	if k.file == (fileID{}) || other.file == (fileID{}) {
		program = k.process.Exe == other.process.Exe
	}
	return program && k.process.PID == other.process.PID && k.process.StartTime == other.process.StartTime
}

// file identifies the program of pid; it is zero if that cannot be done.
func (fs FS) file(pid int) fileID {
	var st unix.Stat_t
	if err := unix.Stat(fs.ExePath(pid), &st); err != nil {
		return fileID{}
	}
	return fileID{device: st.Dev, inode: st.Ino}
}
