// Package process reads everything about a program that is to be traced: which
// processes run it, and what its executable says about functions, struct
// layouts and code. It knows nothing of BPF.
package process

import (
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
)

// Errors that tell why an executable cannot be analysed; test with errors.Is.
var (
	// ErrNotELF: not an ELF file, or one that no loader would run.
	ErrNotELF = errors.New("not an ELF executable")
	// ErrNotGo: an executable with no trace of Go in it.
	ErrNotGo = errors.New("not a Go executable")
	// ErrUnsupported: an architecture or Go version that Remora does not trace.
	ErrUnsupported = errors.New("unsupported executable")
	// ErrGarbled: a Go executable whose function or type names are obfuscated
	// or whose tables are of a form that this version does not know.
	ErrGarbled = errors.New("obfuscated or unknown form of Go executable")
	// ErrTruncated: the file's end is missing, perhaps since it was opened.
	ErrTruncated = errors.New("the executable is truncated")
	// ErrNoType: the executable has no descriptor for a type: the program does
	// not use it, or keeps it on the stack only.
	ErrNoType = errors.New("no such type in the executable")
	// ErrNoField: the type is there and has no such field.
	ErrNoField = errors.New("no such field in the type")
)

// Binary is one Go executable, mapped read-only.
//
// Everything is read from tables that the running program itself needs (the
// function table and the runtime type descriptors), which no stripping removes;
// see docs/go-binaries.md. Addresses are the link-time ones: in a
// position-independent executable the process adds its load address to them.
//
// The methods may be called concurrently; Close must come after all of them.
type Binary struct {
	Path        string // as given to Open
	Arch        string // "amd64" or "arm64", as runtime.GOARCH
	PIE         bool   // position-independent: addresses are relative to where it is loaded
	GoVersion   string // as the build info records it ("go1.26.8", "go1.25.1 X:synctest"), "" without
	MainPackage string // import path of package main, "" without build info
	Main        Module // module of package main; zero outside of module mode
	Deps        []Module
	Profiled    bool // built with a profile (-pgo): what is called often may be inlined there, out of sight of probes
	ID          FileID

	image *image
	md    moduledata

	typesOnce sync.Once
	typeIndex typeIndex
}

// FileID identifies the contents of a file: a changed or replaced executable
// has another, even where the inode is reused. It is comparable.
type FileID struct {
	Dev, Ino uint64
	Size     int64  // bytes
	ModTime  int64  // nanoseconds since 1970
	BuildID  string // the Go build ID, else the GNU build ID in hex, "" if it has neither
}

// Open maps the executable at path and finds its tables. The path may be
// /proc/PID/exe, which reaches the running file even when it was deleted or
// belongs to another mount namespace.
//
// The error wraps ErrNotELF, ErrNotGo, ErrUnsupported, ErrGarbled or
// ErrTruncated, or is that of opening the file.
func Open(path string) (*Binary, error) {
	b, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot analyse %s: %w", path, err)
	}
	return b, nil
}

func open(path string) (*Binary, error) {
	// Without O_NONBLOCK, opening a FIFO that was planted at path would hang.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: it is not a regular file", ErrNotELF)
	}
	im, err := openImage(file, info.Size())
	if err != nil {
		return nil, err
	}
	b := &Binary{
		Path:  path,
		Arch:  archName(im.machine),
		PIE:   im.pie,
		image: im,
		ID: FileID{
			Dev:     uint64(stat.Dev),
			Ino:     stat.Ino,
			Size:    info.Size(),
			ModTime: info.ModTime().UnixNano(),
		},
	}
	if err := b.load(); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// load finds what every other method builds on.
func (b *Binary) load() (err error) {
	defer b.image.recoverFault(debug.SetPanicOnFault(true), &err)
	goID, gnuID := buildIDs(b.image)
	b.ID.BuildID = goID
	if goID == "" {
		b.ID.BuildID = gnuID
	}
	b.readBuildInfo()
	b.md, err = findModuledata(b.image)
	if err == nil && !b.hasFunctionName("runtime.mallocgc") {
		err = fmt.Errorf("%w: its functions have no names; rebuild it without obfuscation", ErrGarbled)
	}
	b.image.release()
	if err == nil {
		return nil
	}
	if goID == "" && b.GoVersion == "" && len(b.image.sections) == 0 {
		return fmt.Errorf("%w: it has neither build info nor a Go function table", ErrNotGo)
	}
	if b.GoVersion != "" {
		return fmt.Errorf("%w (built with %s)", err, b.GoVersion)
	}
	return err
}

// Close releases the mapping. Nothing that the methods return refers to it.
// Afterwards they find nothing.
func (b *Binary) Close() error {
	b.md = moduledata{}
	b.typeIndex = typeIndex{seed: maphash.MakeSeed()}
	return b.image.close()
}

// FileOffset translates a virtual address of the executable's code into an
// offset in the file, which is what a uprobe is attached to. It returns false
// for addresses outside of executable segments.
func (b *Binary) FileOffset(addr uint64) (uint64, bool) {
	s := b.image.segmentAt(addr)
	if s == nil || !s.executable() {
		return 0, false
	}
	return s.offset + (addr - s.addr), true
}

// ReadOnly returns where most of what the program cannot change lies, by virtual addresses: the largest segment that is neither writable nor, if
// there is such a one, executable. Constant returns what is there.
func (b *Binary) ReadOnly() (addr, size uint64) {
	var best segment
	for _, s := range b.image.segments {
		if s.writable() {
			continue
		}
		larger := len(s.data) > len(best.data)
		if best.data == nil || best.executable() && (larger || !s.executable()) || !s.executable() && larger {
			best = s
		}
	}
	return best.addr, uint64(len(best.data))
}

// Constant returns the n bytes at a virtual address that the program cannot change, false if that is not what is there.
func (b *Binary) Constant(addr uint64, n int) (contents []byte, ok bool) {
	s := b.image.segmentAt(addr)
	if s == nil || s.writable() {
		return nil, false
	}
	return b.Bytes(addr, n)
}

// Bytes returns a copy of the n bytes at a virtual address as the file holds
// them (not relocated). It returns false if they are not all part of one
// segment's file contents.
func (b *Binary) Bytes(addr uint64, n int) (contents []byte, ok bool) {
	var err error
	defer b.image.recoverFault(debug.SetPanicOnFault(true), &err)
	if n < 0 {
		return nil, false
	}
	mapped := b.image.bytes(addr, uint64(n))
	if mapped == nil {
		return nil, false
	}
	return append([]byte{}, mapped...), true
}
