package process

import (
	"cmp"
	"debug/elf"
	"encoding/binary"
	"iter"
	"slices"
	"sort"
)

// relaSize is the size of an Elf64_Rela: offset, info, addend.
const relaSize = 24

// maxStrayRelocations bounds the memory spent on a relocation table that is not
// sorted (16 bytes each).
const maxStrayRelocations = 1 << 20

// relocations finds the value that the dynamic loader gives a word of a
// position-independent executable loaded at address 0: the addend of its
// R_*_RELATIVE entry in DT_RELA. Words listed in DT_RELR hold their addend in
// place and need no entry here.
//
// Linkers sort the relative entries by address and put them first; that part of
// the table is searched where it lies. Whatever does not fit the order is kept
// in a sorted copy.
type relocations struct {
	sorted []byte // Elf64_Rela entries, ascending by offset
	stray  []relocation
}

type relocation struct{ addr, value uint64 }

func newRelocations(im *image) relocations {
	le := binary.LittleEndian
	relative := uint32(elf.R_X86_64_RELATIVE)
	if im.machine == elf.EM_AARCH64 {
		relative = uint32(elf.R_AARCH64_RELATIVE)
	}
	table := relaTable(im)
	var r relocations
	last, inOrder := uint64(0), true
	for i := 0; i+relaSize <= len(table); i += relaSize {
		offset := le.Uint64(table[i:])
		isRelative := le.Uint32(table[i+8:]) == relative
		if inOrder && isRelative && offset >= last {
			last = offset
			r.sorted = table[:i+relaSize]
			continue
		}
		inOrder = false
		if isRelative && len(r.stray) < maxStrayRelocations {
			r.stray = append(r.stray, relocation{offset, le.Uint64(table[i+16:])})
		}
	}
	slices.SortFunc(r.stray, func(a, b relocation) int { return cmp.Compare(a.addr, b.addr) })
	return r
}

// relaTable returns the bytes of DT_RELA.
func relaTable(im *image) []byte {
	le := binary.LittleEndian
	var addr, size uint64
	for d := im.dynamic; len(d) >= 16; d = d[16:] {
		value := le.Uint64(d[8:])
		switch elf.DynTag(le.Uint64(d)) {
		case elf.DT_NULL:
			return im.bytes(addr, size)
		case elf.DT_RELA:
			addr = value
		case elf.DT_RELASZ:
			size = value
		}
	}
	return im.bytes(addr, size)
}

// lookup returns the value that relocation gives the word at addr, false if it
// is not relocated.
func (r *relocations) lookup(addr uint64) (uint64, bool) {
	le := binary.LittleEndian
	n := len(r.sorted) / relaSize
	i := sort.Search(n, func(i int) bool { return le.Uint64(r.sorted[i*relaSize:]) >= addr })
	if i < n && le.Uint64(r.sorted[i*relaSize:]) == addr {
		return le.Uint64(r.sorted[i*relaSize+16:]), true
	}
	i, ok := slices.BinarySearchFunc(r.stray, addr, func(e relocation, addr uint64) int { return cmp.Compare(e.addr, addr) })
	if ok {
		return r.stray[i].value, true
	}
	return 0, false
}

// targets yields the address of every relocated word whose value is wanted.
func (r *relocations) targets(wanted []uint64) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		le := binary.LittleEndian
		for e := r.sorted; len(e) >= relaSize; e = e[relaSize:] {
			if slices.Contains(wanted, le.Uint64(e[16:])) && !yield(le.Uint64(e)) {
				return
			}
		}
		for _, e := range r.stray {
			if slices.Contains(wanted, e.value) && !yield(e.addr) {
				return
			}
		}
	}
}
