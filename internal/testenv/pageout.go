package testenv

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// PageOut takes the pages of its program's file away from a process, as the kernel does with those that nobody has used for long
// when memory is short. What the process needs comes back when it uses it. Returns how many pages it has lost.
func PageOut(t testing.TB, pid int) (lost int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("page out process %d: %v", pid, err)
	}
	defer unix.Close(fd)
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		t.Fatalf("page out process %d: %v", pid, err)
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatalf("page out process %d: %v", pid, err)
	}
	for _, line := range strings.Split(string(maps), "\n") {
		var start, end uintptr
		if _, err := fmt.Sscanf(line, "%x-%x", &start, &end); err != nil || !strings.HasSuffix(line, exe) {
			continue
		}
		before := present(t, pid, start, end)
		iov := [2]uintptr{start, end - start} // struct iovec
		if _, _, e := unix.Syscall6(unix.SYS_PROCESS_MADVISE, uintptr(fd), uintptr(unsafe.Pointer(&iov)), 1, unix.MADV_PAGEOUT, 0, 0); e != 0 {
			t.Fatalf("page out process %d: %v", pid, e)
		}
		lost += before - present(t, pid, start, end)
	}
	return lost
}

// present counts the pages of a part of a process's memory that its page table has: https://docs.kernel.org/admin-guide/mm/pagemap.html
func present(t testing.TB, pid int, start, end uintptr) (n int) {
	pagemap, err := os.Open(fmt.Sprintf("/proc/%d/pagemap", pid))
	if err != nil {
		t.Fatalf("page out process %d: %v", pid, err)
	}
	defer pagemap.Close()
	pageSize := uintptr(os.Getpagesize())
	entries := make([]byte, (end-start)/pageSize*8)
	if _, err := pagemap.ReadAt(entries, int64(start/pageSize*8)); err != nil {
		t.Fatalf("page out process %d: %v", pid, err)
	}
	for i := 0; i < len(entries); i += 8 {
		if binary.LittleEndian.Uint64(entries[i:])>>63 != 0 {
			n++
		}
	}
	return n
}
