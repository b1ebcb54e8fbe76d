package bpf

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The inode numbers of the namespaces that the machine starts with.
// https://github.com/torvalds/linux/blob/v6.12/include/linux/proc_ns.h
const (
	initialUserNamespace = 0xEFFFFFFD
	initialPIDNamespace  = 0xEFFFFFFC
)

// inNamespace reports whether the caller's namespace of this kind ("pid", "user") is
// the one with this inode number. It is true when that cannot be found out.
func inNamespace(proc, kind string, inode uint64) bool {
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(proc, "self/ns", kind), &st); err != nil {
		return true
	}
	return st.Ino == inode
}
