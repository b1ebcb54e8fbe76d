package process

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
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

// Touch has the kernel make the pages present that hold the given addresses in the memory of a process that runs the program with this
// entry point; addresses are link-time ones. BPF programs can only read pages that are present, and those of an executable's file
// are so only once somebody has used them. It needs the right to trace the process: CAP_SYS_PTRACE.
func (fs FS) Touch(pid int, entryPoint uint64, addrs []uint64) error {
	bias, err := fs.loadBias(pid, entryPoint)
	if err != nil {
		return fmt.Errorf("cannot touch memory of process %d: %w", pid, err)
	}
	memory, err := os.Open(fs.path(pid, "mem"))
	if err != nil {
		return fmt.Errorf("cannot touch memory of process %d: %w (grant CAP_SYS_PTRACE)", pid, err)
	}
	defer memory.Close()
	const page = 4096 // the smallest that there are
	touched := map[uint64]bool{}
	for _, addr := range addrs {
		if at := addr + bias; !touched[at/page] {
			touched[at/page] = true
			if _, err := memory.ReadAt(make([]byte, 1), int64(at)); err != nil {
				return fmt.Errorf("cannot touch memory of process %d: %w", pid, err)
			}
		}
	}
	return nil
}

// loadBias is what the loader added to the program's addresses.
func (fs FS) loadBias(pid int, entryPoint uint64) (uint64, error) {
	aux, err := fs.read(pid, "auxv", maxAux)
	if err != nil {
		return 0, err
	}
	for ; len(aux) >= 2*wordSize; aux = aux[2*wordSize:] {
		if binary.LittleEndian.Uint64(aux) == auxEntry {
			return binary.LittleEndian.Uint64(aux[wordSize:]) - entryPoint, nil
		}
	}
	return 0, errors.New("its auxiliary vector has no entry point")
}
