package process

import (
	"encoding/binary"
	"iter"
)

// The magic numbers of the function table's header:
// https://github.com/golang/go/blob/go1.26.0/src/internal/abi/symtab.go#L9
const (
	pclntabGo116 = 0xfffffffa // Go 1.16, 1.17: unsupported
	pclntabGo118 = 0xfffffff0 // Go 1.18, 1.19
	pclntabGo120 = 0xfffffff1 // Go 1.20 and up
)

// maxPclntabs bounds the headers that are tried; a program that reads function
// tables itself holds one or two lookalikes.
const maxPclntabs = 64

// pclntabHeader reports whether word, the first of a header, can start one, and
// its magic. The word is magic, two zero bytes, the instruction size quantum
// (1 or 4) and the pointer size:
// https://github.com/golang/go/blob/go1.26.0/src/runtime/symtab.go#L376
func pclntabHeader(word uint64) (magic uint32, ok bool) {
	magic = uint32(word)
	quantum := byte(word >> 48)
	ok = magic >= pclntabGo118 && magic <= pclntabGo120 || magic == pclntabGo116
	ok = ok && word>>56 == wordSize && uint16(word>>32) == 0 && (quantum == 1 || quantum == 4)
	return magic, ok
}

// pclntabs yields the addresses where a function table may start: what the
// section header says, then whatever else looks like one in any segment. The
// search is needed for externally linked position-independent executables up to
// Go 1.25, which put the table into .data.rel.ro, and without section headers.
func (im *image) pclntabs() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for _, name := range []string{".gopclntab", ".data.rel.ro.gopclntab"} {
			addr, ok := im.sections[name]
			if !ok {
				continue
			}
			word := im.bytes(addr, wordSize)
			if word == nil {
				continue
			}
			if _, ok := pclntabHeader(binary.LittleEndian.Uint64(word)); ok && !yield(addr) {
				return
			}
		}
		im.scanPclntabs(yield)
	}
}

func (im *image) scanPclntabs(yield func(uint64) bool) {
	found := 0
	for i := range im.segments {
		s := &im.segments[i]
		skip := -s.addr % wordSize
		for at := skip; at+wordSize <= uint64(len(s.data)); at += wordSize {
			if _, ok := pclntabHeader(binary.LittleEndian.Uint64(s.data[at:])); !ok {
				continue
			}
			if found++; found > maxPclntabs || !yield(s.addr+at) {
				return
			}
		}
	}
}
