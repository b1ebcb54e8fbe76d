package process

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"
)

// EntryPoint is the link-time address at which the program starts.
func (b *Binary) EntryPoint() (entry uint64) {
	var err error
	defer b.image.recoverFault(debug.SetPanicOnFault(true), &err)
	if len(b.image.data) < 64 {
		return 0
	}
	return binary.LittleEndian.Uint64(b.image.data[24:]) // e_entry
}

// Words of the auxiliary vector: https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/auxvec.h
const (
	auxEntry = 9 // AT_ENTRY
	maxAux   = 64 << 10
)

// PageSize is that of the smallest pages that a supported machine has, in bytes.
const PageSize = 4096

// Touch has the kernel make the pages present that hold the given addresses of a process. BPF programs can only read pages that are
// present, and those of an executable's file are so only once somebody has used them. It needs the right to trace the process:
// CAP_SYS_PTRACE. An error is the first one; the other pages are present then.
func (fs FS) Touch(pid int, addrs []uint64) (err error) {
	memory, err := os.Open(fs.path(pid, "mem"))
	if err != nil {
		return fmt.Errorf("cannot touch memory of process %d: %w (grant CAP_SYS_PTRACE)", pid, err)
	}
	defer memory.Close()
	touched := map[uint64]bool{}
	for _, addr := range addrs {
		if !touched[addr/PageSize] {
			touched[addr/PageSize] = true
			if _, e := memory.ReadAt(make([]byte, 1), int64(addr)); e != nil && err == nil {
				err = fmt.Errorf("cannot touch memory of process %d: %w", pid, e)
			}
		}
	}
	return err
}

// LoadBias is what the loader added to the link-time addresses of the program with this entry point that the process runs: 0 unless it is
// position independent. It waits a moment for a program that the kernel is just loading.
func (fs FS) LoadBias(pid int, entryPoint uint64) (uint64, error) {
	const tries, pause = 20, time.Millisecond
	for try := 1; ; try++ {
		aux, err := fs.read(pid, "auxv", maxAux)
		if err != nil {
			return 0, err
		}
		for ; len(aux) >= 2*wordSize; aux = aux[2*wordSize:] {
			if binary.LittleEndian.Uint64(aux) == auxEntry {
				return binary.LittleEndian.Uint64(aux[wordSize:]) - entryPoint, nil
			}
		}
		if try == tries {
			return 0, errors.New("its auxiliary vector has no entry point")
		}
		time.Sleep(pause)
	}
}
