package bpf

import (
	"os"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCallOffMainThread(t *testing.T) {
	for range 20 {
		callOffMainThread(func() {
			if unix.Gettid() == os.Getpid() {
				t.Error("called in the first thread")
			}
		})
	}
}

// The bytes at the offset in the file are those at the address in memory.
func TestFileOffset(t *testing.T) {
	address := reflect.ValueOf(fileOffset).Pointer()
	offset, err := fileOffset(address)
	if err != nil {
		t.Fatal(err)
	}
	const size = 64
	inFile, inMemory := make([]byte, size), make([]byte, size)
	for path, read := range map[string]struct {
		data []byte
		at   int64
	}{"/proc/self/exe": {inFile, int64(offset)}, "/proc/self/mem": {inMemory, int64(address)}} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.ReadAt(read.data, read.at); err != nil {
			t.Fatal(err)
		}
	}
	if string(inFile) != string(inMemory) {
		t.Errorf("file %x, memory %x", inFile, inMemory)
	}
	if _, err := fileOffset(1); err == nil {
		t.Error("no error for an address where nothing is")
	}
}
