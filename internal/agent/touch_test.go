package agent

import (
	le "encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/remora-agent/remora/internal/testenv"
	"github.com/remora-agent/remora/process"
)

// TestFetchAbsent: a page that a program misses is there afterwards; what is no page is passed over.
func TestFetchAbsent(t *testing.T) {
	const pages = 64 // more than the kernel maps at once around one that is used
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, pages*os.Getpagesize()), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	memory, err := unix.Mmap(int(f.Fd()), 0, pages*os.Getpagesize(), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(memory)
	addr := uint64(uintptr(unsafe.Pointer(&memory[40*os.Getpagesize()])))
	if present(t, addr) {
		t.Fatal("the page is present before anybody has used it")
	}
	a := &Agent{cfg: Config{Log: zap.NewNop()}, fs: process.NewFS("/proc"), targets: newTargets()}
	a.targets.put(&target{id: 7, process: process.Process{PID: os.Getpid()}})
	absent := func(target uint32, addr uint64) []byte { // struct absent_page
		return le.LittleEndian.AppendUint64(le.LittleEndian.AppendUint32(le.LittleEndian.AppendUint32(nil, target), 1<<30), addr)
	}
	for _, event := range [][]byte{absent(7, 8), absent(7, addr+8), absent(7, addr+16), absent(7, 1<<60), absent(8, addr)} {
		a.handle(event)
	}
	a.fetchAbsent()
	testenv.Eventually(t, 5*time.Second, "the page is present", func() bool { return present(t, addr) })
	if n := a.counters.absent.Load(); n != 3 {
		t.Errorf("%d pages were fetched, want 3", n)
	}
	if n := a.counters.decode.Load() + a.counters.unknown.Load(); n != 0 {
		t.Errorf("%d spans are counted as lost", n)
	}
}

// present says whether this process has a page. Bit 63: https://www.kernel.org/doc/html/latest/admin-guide/mm/pagemap.html
func present(t *testing.T, addr uint64) bool {
	t.Helper()
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var entry [8]byte
	if _, err := f.ReadAt(entry[:], int64(addr/uint64(os.Getpagesize())*8)); err != nil {
		t.Fatal(err)
	}
	return entry[7]>>7 != 0
}
