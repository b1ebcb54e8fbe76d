package process

import (
	"debug/elf"
	"encoding/binary"
	"iter"
	"math"
	"slices"
	"sort"
)

// relaSize is the size of an Elf64_Rela: offset, info, addend.
const relaSize = 24

// maxStrays bounds the memory spent on a relocation table that is not sorted
// (8 bytes each); a program of 700 MB has about 3 million entries.
const maxStrays = 4 << 20

// relocations finds the value that the dynamic loader gives a word of a
// position-independent executable loaded at address 0: the addend of its
// R_*_RELATIVE entry in DT_RELA. Words listed in DT_RELR hold their addend in
// place and need no entry here.
//
// GNU ld and lld sort the relative entries by address and put them first; that
// part of the table is searched where it lies. The rest, which from Go's own
// linker is nearly all, is kept in a sorted copy.
type relocations struct {
	sorted []byte // Elf64_Rela entries, ascending by offset
	strays []stray
}

// stray is a relocation in a third of the space, its address above its value: a
// position-independent executable starts at address 0 and is far smaller than 4 GiB.
type stray uint64

func (s stray) addr() uint64  { return uint64(s >> 32) }
func (s stray) value() uint64 { return uint64(uint32(s)) }

func newRelocations(im *image) relocations {
	le := binary.LittleEndian
	relative := uint32(elf.R_X86_64_RELATIVE)
	if im.machine == elf.EM_AARCH64 {
		relative = uint32(elf.R_AARCH64_RELATIVE)
	}
	table := relaTable(im)
	r := relocations{sorted: table[:0]}
	last := uint64(0)
	for ; len(table) >= relaSize; table = table[relaSize:] {
		offset := le.Uint64(table)
		if le.Uint32(table[8:]) != relative || offset < last {
			break
		}
		last = offset
		r.sorted = r.sorted[:len(r.sorted)+relaSize]
	}
	if len(table) >= relaSize {
		r.strays = make([]stray, 0, min(len(table)/relaSize, maxStrays))
	}
	for ; len(table) >= relaSize && len(r.strays) < maxStrays; table = table[relaSize:] {
		addr, value := le.Uint64(table), le.Uint64(table[16:])
		if le.Uint32(table[8:]) == relative && max(addr, value) <= math.MaxUint32 {
			r.strays = append(r.strays, stray(addr<<32|value))
		}
	}
	slices.Sort(r.strays)
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
	if addr > math.MaxUint32 {
		return 0, false
	}
	i, _ = slices.BinarySearch(r.strays, stray(addr<<32))
	if i == len(r.strays) || r.strays[i].addr() != addr {
		return 0, false
	}
	return r.strays[i].value(), true
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
		for _, e := range r.strays {
			if slices.Contains(wanted, e.value()) && !yield(e.addr()) {
				return
			}
		}
	}
}
