package vm

import (
	"bytes"
	"fmt"
)

// archive is a cpio archive of the "newc" kind, which the kernel unpacks as its first root file system:
// https://www.kernel.org/doc/html/v6.12/driver-api/early-userspace/buffer-format.html
type archive struct {
	buf   bytes.Buffer
	inode int
}

// The file types of an archive's modes, as in inode(7).
const (
	regularFile = 0o100000
	directory   = 0o040000
)

func (a *archive) addDir(name string) { a.add(name, directory|0o755, nil) }

func (a *archive) addFile(name string, perm int, data []byte) { a.add(name, regularFile|perm, data) }

func (a *archive) add(name string, mode int, data []byte) {
	a.inode++
	fields := []int{
		a.inode, mode, 0, 0, 1, 0, len(data), // inode, mode, owner, group, links, time, size
		0, 0, 0, 0, len(name) + 1, 0, // device and special device, name with its NUL, checksum
	}
	a.buf.WriteString("070701")
	for _, f := range fields {
		fmt.Fprintf(&a.buf, "%08X", f)
	}
	a.buf.WriteString(name + "\x00")
	a.pad()
	a.buf.Write(data)
	a.pad()
}

// pad fills up to a multiple of four bytes.
func (a *archive) pad() {
	for a.buf.Len()%4 != 0 {
		a.buf.WriteByte(0)
	}
}

// bytes ends the archive and returns it.
func (a *archive) bytes() []byte {
	a.add("TRAILER!!!", 0, nil)
	return a.buf.Bytes()
}
