package process

import "encoding/binary"

// The magic numbers of the function table's header:
// https://github.com/golang/go/blob/go1.26.8/src/internal/abi/symtab.go#L12
const (
	pclntabGo116 = 0xfffffffa // Go 1.16, 1.17: unsupported
	pclntabGo118 = 0xfffffff0 // Go 1.18, 1.19
	pclntabGo120 = 0xfffffff1 // Go 1.20 and up
)

// maxPclntabs bounds the headers that are tried; a program that reads function
// tables itself holds one or two lookalikes.
const maxPclntabs = 16

// pclntabHeader reports whether word, the first of a header, can start one, and
// its magic. The word is magic, two zero bytes, the instruction size quantum
// (1 or 4) and the pointer size:
// https://github.com/golang/go/blob/go1.26.8/src/runtime/symtab.go#L376
func pclntabHeader(word uint64) (magic uint32, ok bool) {
	magic = uint32(word)
	quantum := byte(word >> 48)
	ok = magic >= pclntabGo118 && magic <= pclntabGo120 || magic == pclntabGo116
	ok = ok && word>>56 == wordSize && uint16(word>>32) == 0 && (quantum == 1 || quantum == 4)
	return magic, ok
}

// pclntabSections returns the addresses of function tables that the section
// headers name.
func (im *image) pclntabSections() (found []uint64) {
	for _, name := range []string{".gopclntab", ".data.rel.ro.gopclntab"} {
		addr, ok := im.sections[name]
		if !ok {
			continue
		}
		word := im.bytes(addr, wordSize)
		if word == nil {
			continue
		}
		if _, ok := pclntabHeader(binary.LittleEndian.Uint64(word)); ok {
			found = append(found, addr)
		}
	}
	return found
}

// scanPclntabs returns the addresses of whatever looks like a function table in
// the segments that match. The scan is needed without section headers, and for externally linked
// position-independent executables up to Go 1.25, which have the table amid
// .data.rel.ro.
func (im *image) scanPclntabs(match func(*segment) bool) (found []uint64) {
	for addr, chunk := range im.chunks(match) {
		for at := 0; at+wordSize <= len(chunk); at += wordSize {
			if _, ok := pclntabHeader(binary.LittleEndian.Uint64(chunk[at:])); !ok {
				continue
			}
			if found = append(found, addr+uint64(at)); len(found) == maxPclntabs {
				return found
			}
		}
	}
	return found
}
