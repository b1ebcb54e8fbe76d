package process

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"iter"
	"os"
	"runtime/debug"
	"slices"
	"syscall"
)

const (
	// maxSegments and maxSections bound what is read of a hostile file's
	// headers; a real executable has about ten of the one and fifty of the other.
	maxSegments = 128
	maxSections = 4096
	maxNotes    = 64 << 10

	// maxImage bounds the size of an executable, in bytes; the largest Go
	// programs known have 700 MB, most of it debug information.
	maxImage = 2 << 30

	// scanChunk is how much of a segment a scan looks at before it gives the
	// pages back.
	scanChunk = 8 << 20

	wordSize = 8
)

// image is an ELF file mapped read-only and addressed by the virtual addresses
// its linker assigned. Nothing is written to it: a word that the dynamic loader
// would relocate is looked up in the relocation table when it is read.
//
// All methods return nil, 0 or false for addresses outside the file's contents.
// The file may shrink while it is mapped; see [image.recoverFault].
type image struct {
	data     []byte
	machine  elf.Machine
	pie      bool
	segments []segment // PT_LOAD, ascending
	notes    []segment
	dynamic  []byte
	sections map[string]uint64 // addresses of Go's sections; hints only, a file may lack or forge them
	relocs   relocations
}

// segment is the file-backed part of a program header.
type segment struct {
	addr, offset uint64
	flags        elf.ProgFlag
	data         []byte
}

func (s *segment) end() uint64      { return s.addr + uint64(len(s.data)) }
func (s *segment) executable() bool { return s.flags&elf.PF_X != 0 }
func (s *segment) writable() bool   { return s.flags&elf.PF_W != 0 }

// archName is the runtime.GOARCH of a machine that openImage accepts.
func archName(m elf.Machine) string {
	if m == elf.EM_AARCH64 {
		return "arm64"
	}
	return "amd64"
}

// openImage maps the file and reads its program headers.
func openImage(file *os.File, size int64) (*image, error) {
	if size < 64 {
		return nil, fmt.Errorf("%w: the file has %d bytes", ErrNotELF, size)
	}
	if size > maxImage {
		return nil, fmt.Errorf("%w: it has %d bytes, the most that is read is %d; strip its debug information", ErrUnsupported, size, maxImage)
	}
	data, err := syscall.Mmap(int(file.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("cannot map the file: %w", err)
	}
	im := &image{data: data}
	if err := im.parse(); err != nil {
		im.close()
		return nil, err
	}
	return im, nil
}

func (im *image) close() error {
	data := im.data
	*im = image{}
	if data == nil {
		return nil
	}
	return syscall.Munmap(data)
}

// recoverFault turns the fault of reading a mapped file that was truncated
// after it was opened into an error. Every exported method that reads the image
// defers it, with the goroutine's previous setting evaluated at once:
//
//	defer b.image.recoverFault(debug.SetPanicOnFault(true), &err)
func (im *image) recoverFault(previous bool, err *error) {
	debug.SetPanicOnFault(previous)
	switch fault := recover().(type) {
	case nil:
	case interface{ Addr() uintptr }: // runtime's errorAddressString
		*err = fmt.Errorf("%w (it faulted at %#x); analyse it again", ErrTruncated, fault.Addr())
	default:
		panic(fault)
	}
}

// parse reads the ELF header, program headers and section names. It does not
// use debug/elf's reader, which trusts counts and sizes that the file states.
func (im *image) parse() (err error) {
	defer im.recoverFault(debug.SetPanicOnFault(true), &err)
	d := im.data
	if string(d[:4]) != elf.ELFMAG {
		return fmt.Errorf("%w: it has no ELF magic", ErrNotELF)
	}
	le := binary.LittleEndian
	if elf.Class(d[4]) != elf.ELFCLASS64 || elf.Data(d[5]) != elf.ELFDATA2LSB {
		return fmt.Errorf("%w: only 64-bit little-endian executables can be traced", ErrUnsupported)
	}
	im.machine = elf.Machine(le.Uint16(d[18:]))
	if im.machine != elf.EM_X86_64 && im.machine != elf.EM_AARCH64 {
		return fmt.Errorf("%w: machine %v; only amd64 and arm64 can be traced", ErrUnsupported, im.machine)
	}
	switch elf.Type(le.Uint16(d[16:])) {
	case elf.ET_EXEC:
	case elf.ET_DYN:
		im.pie = true
	default:
		return fmt.Errorf("%w: it is not an executable or shared object", ErrUnsupported)
	}
	if err := im.parseSegments(le.Uint64(d[32:]), le.Uint16(d[54:]), le.Uint16(d[56:])); err != nil {
		return err
	}
	if err := im.checkSegments(); err != nil {
		return err
	}
	im.parseSections(le.Uint64(d[40:]), le.Uint16(d[58:]), le.Uint16(d[60:]), le.Uint16(d[62:]))
	im.relocs = newRelocations(im)
	return nil
}

func (im *image) parseSegments(table uint64, entrySize, count uint16) error {
	const headerSize = 56
	if entrySize < headerSize {
		return nil
	}
	le := binary.LittleEndian
	for i := range min(int(count), maxSegments) {
		h := im.fileRange(table+uint64(i)*uint64(entrySize), headerSize)
		if h == nil {
			return im.truncated(table + uint64(count)*uint64(entrySize))
		}
		s := segment{
			flags:  elf.ProgFlag(le.Uint32(h[4:])),
			offset: le.Uint64(h[8:]),
			addr:   le.Uint64(h[16:]),
		}
		size, kind := le.Uint64(h[32:]), elf.ProgType(le.Uint32(h))
		s.data = im.fileRange(s.offset, size)
		if kind == elf.PT_LOAD && size > 0 && s.data == nil {
			return im.truncated(s.offset + size)
		}
		if len(s.data) == 0 || s.end() < s.addr {
			continue
		}
		switch kind {
		case elf.PT_LOAD:
			im.segments = append(im.segments, s)
		case elf.PT_NOTE:
			s.data = s.data[:min(len(s.data), maxNotes)]
			im.notes = append(im.notes, s)
		case elf.PT_DYNAMIC:
			im.dynamic = s.data
		}
	}
	slices.SortFunc(im.segments, func(a, b segment) int { return cmp.Compare(a.addr, b.addr) })
	return nil
}

// truncated is the error of a file that says of itself that it goes on up to end.
func (im *image) truncated(end uint64) error {
	return fmt.Errorf("%w: it has %d bytes, by its program headers %d or more; copy or build it again", ErrTruncated, len(im.data), end)
}

// checkSegments refuses a file that loads its contents many times over, which
// only makes scans long.
func (im *image) checkSegments() error {
	loaded := 0
	for _, s := range im.segments {
		loaded += len(s.data)
	}
	if loaded == 0 || loaded > 2*len(im.data) {
		return fmt.Errorf("%w: its loadable segments have %d bytes, the file %d", ErrNotELF, loaded, len(im.data))
	}
	return nil
}

// goSections are the sections that only a Go linker makes.
var goSections = [...]string{".gopclntab", ".data.rel.ro.gopclntab", ".go.buildinfo", ".go.module"}

func (im *image) parseSections(table uint64, entrySize, count, namesIndex uint16) {
	const headerSize = 64
	im.sections = map[string]uint64{}
	if entrySize < headerSize {
		return
	}
	le := binary.LittleEndian
	header := func(i int) []byte { return im.fileRange(table+uint64(i)*uint64(entrySize), headerSize) }
	nh := header(int(namesIndex))
	if nh == nil {
		return
	}
	names := im.fileRange(le.Uint64(nh[24:]), le.Uint64(nh[32:]))
	for i := range min(int(count), maxSections) {
		h := header(i)
		if h == nil {
			return
		}
		for _, name := range goSections {
			if hasCString(names, uint64(le.Uint32(h)), name) {
				im.sections[name] = le.Uint64(h[16:])
			}
		}
	}
}

// fileRange returns n bytes at an offset in the file, nil if it has fewer.
func (im *image) fileRange(offset, n uint64) []byte {
	size := uint64(len(im.data))
	if offset > size || n > size-offset {
		return nil
	}
	return im.data[offset : offset+n : offset+n]
}

// segmentAt returns the loaded segment whose file contents hold addr, or nil.
func (im *image) segmentAt(addr uint64) *segment {
	for i := range im.segments {
		if s := &im.segments[i]; addr >= s.addr && addr < s.end() {
			return s
		}
	}
	return nil
}

// bytes returns the n bytes at addr as the file holds them, nil if they do not
// lie within one segment. The result is part of the mapping.
func (im *image) bytes(addr, n uint64) []byte {
	rest := im.rest(addr)
	if n > uint64(len(rest)) {
		return nil
	}
	return rest[:n:n]
}

// rest returns the bytes from addr to the end of its segment's file contents.
func (im *image) rest(addr uint64) []byte {
	s := im.segmentAt(addr)
	if s == nil {
		return nil
	}
	return s.data[addr-s.addr:]
}

// uint32 reads a word that holds no address.
func (im *image) uint32(addr uint64) (uint32, bool) {
	b := im.bytes(addr, 4)
	if b == nil {
		return 0, false
	}
	return binary.LittleEndian.Uint32(b), true
}

// word reads a 64-bit word as it stands after relocation at load address 0.
func (im *image) word(addr uint64) (uint64, bool) {
	b := im.bytes(addr, wordSize)
	if b == nil {
		return 0, false
	}
	if value, ok := im.relocs.lookup(addr); ok {
		return value, true
	}
	return binary.LittleEndian.Uint64(b), true
}

// slice reads a Go slice header at addr; it is valid only if len equals cap, as
// in every slice that a linker lays out.
func (im *image) slice(addr uint64) (start, length uint64, ok bool) {
	start, ok1 := im.word(addr)
	length, ok2 := im.word(addr + wordSize)
	capacity, ok3 := im.word(addr + 2*wordSize)
	return start, length, ok1 && ok2 && ok3 && length == capacity
}

// chunks yields the contents of the segments that match, piece by piece, each
// piece starting and (but for the last of a segment) ending at a multiple of 16
// bytes. The pages of a full piece are given back when it is done, so that a
// scan of a large file occupies no more than one piece.
func (im *image) chunks(match func(*segment) bool) iter.Seq2[uint64, []byte] {
	const align = 16
	return func(yield func(uint64, []byte) bool) {
		for i := range im.segments {
			s := &im.segments[i]
			if !match(s) {
				continue
			}
			skip := min(-s.addr%align, uint64(len(s.data)))
			for addr, rest := s.addr+skip, s.data[skip:]; len(rest) > 0; {
				chunk := rest[:min(len(rest), scanChunk)]
				if !yield(addr, chunk) {
					return
				}
				if len(chunk) == scanChunk {
					im.release()
				}
				addr, rest = addr+uint64(len(chunk)), rest[len(chunk):]
			}
		}
	}
}

// release gives the pages that were touched back to the kernel. They come from
// the page cache when they are read again.
func (im *image) release() {
	if len(im.data) > 0 {
		_ = syscall.Madvise(im.data, syscall.MADV_DONTNEED) // a saving only
	}
}

// cString returns the NUL-terminated string at an offset of b.
func cString(b []byte, offset uint64) (string, bool) {
	if offset >= uint64(len(b)) {
		return "", false
	}
	b = b[offset:]
	b = b[:min(len(b), maxName)]
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return "", false
	}
	return string(b[:i]), true
}

// hasCString reports whether the NUL-terminated string at an offset of b is s.
func hasCString(b []byte, offset uint64, s string) bool {
	if offset >= uint64(len(b)) {
		return false
	}
	b = b[offset:]
	return len(b) > len(s) && string(b[:len(s)]) == s && b[len(s)] == 0
}
