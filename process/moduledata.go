package process

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// moduledata is what this package needs of runtime.moduledata, the runtime's
// directory of the executable:
// https://github.com/golang/go/blob/go1.26.8/src/runtime/symtab.go#L402
//
// Its fields from etext on moved with Go 1.20, 1.26 and 1.27; see
// [moduledataLayouts].
type moduledata struct {
	magic        uint32 // of the pclntab
	funcNames    []byte // funcnametab: NUL-terminated names
	functions    []byte // pclntable: functab, then the _func records
	functab      []byte // entries of 8 bytes: code offset, _func offset; one more than functions
	pcTable      []byte // pctab: values by address
	quantum      uint64 // size of the smallest instruction, in bytes
	funcData     uint64 // gofunc: address from which on functions have their data; 0 if it is not known
	text, etext  uint64
	textSections []textSection // more than one only in huge externally linked programs

	types, etypes uint64
	typelinks     []byte // int32 offsets from types, sorted by type string; nil from Go 1.27
	typedescs     uint64 // Go 1.27: bytes of the descriptors that stand for the typelinks
	itablinks     uint64 // address of an array of itab addresses, up to Go 1.26
	itabCount     uint64
	itabs, eitabs uint64 // Go 1.27: the itabs themselves, one after the other
	mapTypeSize   uint64 // size of the descriptor of a Swiss map type, 0 if there is none
	shifted       bool   // Go 1.18: offsets of fields are stored as offset<<1 | embedded
}

// textSection is runtime.textsect: code offsets in [vaddr, end) lie at base.
type textSection struct{ vaddr, end, base uint64 }

// moduledataLayout gives the positions, in 8-byte words, of the fields behind
// etext. A position of 0 means that this layout lacks the field.
type moduledataLayout struct {
	types, etypes, textSections     int
	typelinks, itablinks            int // slices
	typedescs, itabOffset, itabSize int
	funcData                        int
	mapTypeSize                     uint64
}

// moduledataLayouts are tried in turn: the first whose values agree with each
// other is the right one, so that no version needs to be known. mapTypeSize is
// that of abi.MapType (SwissMapType up to Go 1.25).
var moduledataLayouts = [...]moduledataLayout{
	{types: 37, typedescs: 38, etypes: 39, itabOffset: 40, itabSize: 41, funcData: 43, textSections: 45, mapTypeSize: 136}, // Go 1.27
	{types: 37, etypes: 38, funcData: 40, textSections: 42, typelinks: 45, itablinks: 48, mapTypeSize: 112},                // Go 1.26
	{types: 37, etypes: 38, funcData: 40, textSections: 41, typelinks: 44, itablinks: 47, mapTypeSize: 112},                // Go 1.20–1.25
	{types: 35, etypes: 36, funcData: 38, textSections: 39, typelinks: 42, itablinks: 45},                                  // Go 1.18–1.19
}

// Positions that all layouts share.
const (
	wordFuncNames = 1
	wordPCTable   = 10
	wordFunctions = 13
	wordFunctab   = 16
	wordMinPC     = 20
	wordMaxPC     = 21
	wordText      = 22
	wordEtext     = 23
	wordsShared   = 24
)

const (
	// maxModuledatas bounds the references to a function table that are tried.
	maxModuledatas  = 256
	maxTextSections = 64
	maxItabs        = 1 << 20
)

// findModuledata tries the references to everything that looks like a function
// table, in the order of likelihood, and returns the first that validates.
func findModuledata(im *image) (md moduledata, err error) {
	data := func(s *segment) bool { return !s.executable() }
	for _, find := range []func() []uint64{
		im.pclntabSections,
		func() []uint64 { return im.scanPclntabs(data) },
		func() []uint64 { return im.scanPclntabs((*segment).executable) },
	} {
		if md, err = moduledataOf(im, find()); err == nil || errors.Is(err, ErrUnsupported) {
			break
		}
	}
	return md, err
}

// moduledataOf finds the moduledata of one of the function tables.
func moduledataOf(im *image, pclntabs []uint64) (moduledata, error) {
	old := false
	tried := 0
	for addr := range im.references(pclntabs) {
		if tried++; tried > maxModuledatas {
			break
		}
		md, ok := im.moduledataAt(addr)
		if ok && md.magic == pclntabGo116 {
			old = true
			continue
		}
		if ok && (md.readLayout(im, addr) || md.searchLayout(im, addr)) {
			return md, nil
		}
	}
	if old {
		return moduledata{}, fmt.Errorf("%w: it was built with Go 1.17 or older; rebuild it with Go 1.18 or newer", ErrUnsupported)
	}
	return moduledata{}, fmt.Errorf("%w: its function table was not found; rebuild it without obfuscation", ErrGarbled)
}

// references yields the addresses of words that hold the address of a function
// table, which is the first word of the moduledata.
func (im *image) references(pclntabs []uint64) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		if len(pclntabs) == 0 {
			return
		}
		if addr, ok := im.sections[".go.module"]; ok && !yield(addr) { // from Go 1.26
			return
		}
		for addr := range im.relocs.targets(pclntabs) {
			if !yield(addr) {
				return
			}
		}
		for addr, chunk := range im.chunks((*segment).writable) {
			for at := 0; at+wordSize <= len(chunk); at += wordSize {
				if slices.Contains(pclntabs, binary.LittleEndian.Uint64(chunk[at:])) && !yield(addr+uint64(at)) {
					return
				}
			}
		}
	}
}

// moduledataAt reads and validates the part of a moduledata that all layouts
// share. The address of the code is taken from here, not from the header of the
// function table, which no longer holds it from Go 1.26.
func (im *image) moduledataAt(addr uint64) (moduledata, bool) {
	var md moduledata
	pclntab, _ := im.word(addr)
	header := im.bytes(pclntab, 2*wordSize)
	if header == nil {
		return md, false
	}
	le := binary.LittleEndian
	count := le.Uint64(header[wordSize:])
	var ok bool
	if md.magic, ok = pclntabHeader(le.Uint64(header)); !ok {
		return md, false
	}
	if md.funcNames, ok = im.sliceBytes(addr+wordFuncNames*wordSize, 1); !ok {
		return md, false
	}
	if md.functions, ok = im.sliceBytes(addr+wordFunctions*wordSize, 1); !ok {
		return md, false
	}
	md.pcTable, _ = im.sliceBytes(addr+wordPCTable*wordSize, 1)
	md.quantum = uint64(header[6])
	if md.magic == pclntabGo116 {
		return md, true
	}
	if md.functab, ok = im.sliceBytes(addr+wordFunctab*wordSize, functabEntry); !ok {
		return md, false
	}
	if count == 0 || uint64(len(md.functab)/functabEntry) != count+1 {
		return md, false
	}
	minPC, _ := im.word(addr + wordMinPC*wordSize)
	maxPC, _ := im.word(addr + wordMaxPC*wordSize)
	md.text, _ = im.word(addr + wordText*wordSize)
	md.etext, ok = im.word(addr + wordEtext*wordSize)
	code := im.segmentAt(md.text)
	ok = ok && md.text <= minPC && minPC < maxPC && maxPC <= md.etext
	return md, ok && code != nil && code.executable()
}

// sliceBytes returns the contents of the Go slice whose header is at addr.
func (im *image) sliceBytes(addr, elemSize uint64) ([]byte, bool) {
	start, length, ok := im.slice(addr)
	if !ok || length > uint64(len(im.data)) {
		return nil, false
	}
	b := im.bytes(start, length*elemSize)
	return b, b != nil
}

// readLayout fills the rest of md by the layout that fits.
func (md *moduledata) readLayout(im *image, addr uint64) bool {
	for _, l := range moduledataLayouts {
		if md.readAs(im, addr, l) {
			return true
		}
	}
	return false
}

// readAs fills the rest of md by one layout and reports whether that fits; if
// not, md is unchanged.
func (md *moduledata) readAs(im *image, addr uint64, l moduledataLayout) bool {
	candidate := *md
	if !candidate.read(im, addr, &l) {
		return false
	}
	*md = candidate
	md.shifted = md.shiftedOffsets(im)
	return true
}

// read fills md by one layout and reports whether the values make sense.
func (md *moduledata) read(im *image, addr uint64, l *moduledataLayout) bool {
	word := func(position int) uint64 {
		value, _ := im.word(addr + uint64(position)*wordSize)
		return value
	}
	md.types, md.etypes = word(l.types), word(l.etypes)
	md.mapTypeSize, md.funcData = l.mapTypeSize, word(l.funcData)
	if md.types == 0 || md.types >= md.etypes || im.bytes(md.types, md.etypes-md.types) == nil {
		return false
	}
	if l.textSections != 0 && !md.readTextSections(im, addr+uint64(l.textSections)*wordSize) {
		return false
	}
	if l.typedescs != 0 {
		return md.readDescriptorRange(im, word(l.typedescs), word(l.itabOffset), word(l.itabSize))
	}
	return md.readTypelinks(im, addr+uint64(l.typelinks)*wordSize, addr+uint64(l.itablinks)*wordSize)
}

// readDescriptorRange takes the form of Go 1.27, which has the descriptors
// themselves in a row instead of links to them, and the itabs after them.
func (md *moduledata) readDescriptorRange(im *image, typedescs, itabOffset, itabSize uint64) bool {
	size := md.etypes - md.types
	if typedescs == 0 || typedescs > itabOffset || itabOffset > size || itabSize > size-itabOffset {
		return false
	}
	md.typedescs = typedescs
	md.itabs = md.types + itabOffset
	md.eitabs = md.itabs + itabSize
	return md.sampleDescriptors(im)
}

// sampleDescriptors reports whether the first descriptors follow each other as
// their sizes say.
func (md *moduledata) sampleDescriptors(im *image) bool {
	const samples = 16
	addr := md.types + wordSize
	for range samples {
		if addr >= md.types+md.typedescs {
			break
		}
		d, ok := md.descriptor(im, addr)
		if !ok {
			return false
		}
		addr += md.fullSize(im, d)
	}
	return true
}

// readTypelinks takes the form up to Go 1.26.
func (md *moduledata) readTypelinks(im *image, typelinks, itablinks uint64) bool {
	var ok bool
	if md.typelinks, ok = im.sliceBytes(typelinks, typelinkSize); !ok || len(md.typelinks) == 0 {
		return false
	}
	if !md.sampleTypelinks(im) {
		return false
	}
	md.itablinks, md.itabCount, ok = im.slice(itablinks)
	return ok && md.itabCount <= maxItabs && (md.itabCount == 0 || im.bytes(md.itablinks, md.itabCount*wordSize) != nil)
}

// sampleTypelinks reports whether typelinks at even distances, the first and the
// last among them, lead to descriptors.
func (md *moduledata) sampleTypelinks(im *image) bool {
	const samples = 16
	last := md.typelinkCount() - 1
	for i := range samples + 1 {
		if _, ok := md.descriptor(im, md.typelink(i*last/samples)); !ok {
			return false
		}
	}
	return true
}

func (md *moduledata) readTextSections(im *image, addr uint64) bool {
	start, count, ok := im.slice(addr)
	if !ok || count > maxTextSections {
		return false
	}
	for i := range count {
		var w [3]uint64
		for j := range w {
			if w[j], ok = im.word(start + (3*i+uint64(j))*wordSize); !ok {
				return false
			}
		}
		md.textSections = append(md.textSections, textSection{w[0], w[1], w[2]})
	}
	return true
}

// typelinkSize is the size of a typelink, an int32 offset from types.
const typelinkSize = 4

func (md *moduledata) typelinkCount() int { return len(md.typelinks) / typelinkSize }

// typelink returns the address of the i-th descriptor.
func (md *moduledata) typelink(i int) uint64 {
	return md.types + uint64(binary.LittleEndian.Uint32(md.typelinks[i*typelinkSize:]))
}
