package process

import (
	"encoding/binary"
	"iter"
)

// allTypes yields every descriptor that the executable's own lists of types
// (typelinks and itabs) lead to, directly or through other types.
func (b *Binary) allTypes() iter.Seq[descriptor] {
	return func(yield func(descriptor) bool) {
		w := typeWalk{b: b, seen: make([]uint64, (b.md.etypes-b.md.types)/wordSize/64+1), budget: maxReferences}
		for addr := range b.listedTypes() {
			w.add(addr)
			if !w.drain(yield) || w.budget < 0 {
				return
			}
		}
		for itab := range b.itabs() {
			w.add(itab.iface)
			w.add(itab.concrete)
			if !w.drain(yield) {
				return
			}
		}
	}
}

// listedTypes yields the addresses of the descriptors that the runtime itself
// can enumerate.
func (b *Binary) listedTypes() iter.Seq[uint64] {
	md := &b.md
	return func(yield func(uint64) bool) {
		for i := range md.typelinkCount() {
			if !yield(md.typelink(i)) {
				return
			}
		}
		// Go 1.27: the descriptors stand in a row behind one word; see
		// https://github.com/golang/go/blob/go1.27.4/src/runtime/type.go#L507
		for addr, end := md.types+wordSize, md.types+md.typedescs; addr < end; {
			d, ok := md.descriptor(b.image, addr)
			if !ok {
				addr += wordSize // find the next one
				continue
			}
			if !yield(addr) {
				return
			}
			addr += md.fullSize(b.image, d) // a multiple of the word size
		}
	}
}

// fullSize is abi.Type.DescriptorSize: the descriptor with all that follows it.
// https://github.com/golang/go/blob/go1.27.4/src/internal/abi/type.go#L750
func (md *moduledata) fullSize(im *image, d descriptor) uint64 {
	const methodSize, imethodSize = 16, 8
	uncommon := md.uncommonOffset(im, d)
	size := uncommon
	switch d.kind {
	case kindFunc:
		in, out := md.parameters(im, d)
		size += (in + out) * wordSize
	case kindInterface:
		_, count, _ := im.slice(d.addr + interfaceMethods)
		size += min(count, maxFields) * imethodSize
	case kindStruct:
		_, count, _ := im.slice(d.addr + structFields)
		size += min(count, maxFields) * fieldSize
	}
	if d.flags&flagUncommon != 0 {
		size += uncommonSize
		if raw := im.bytes(d.addr+uncommon, uncommonSize); raw != nil {
			size += uint64(binary.LittleEndian.Uint16(raw[4:])) * methodSize
		}
	}
	return size
}

// uncommonSize is that of abi.UncommonType: pkgPath int32, mcount and xcount
// uint16, moff uint32, one word unused.
const uncommonSize = 16

// parameters returns the numbers of a function type's parameters and results.
func (md *moduledata) parameters(im *image, d descriptor) (in, out uint64) {
	raw := im.bytes(d.addr+descriptorSize, 4)
	if raw == nil {
		return 0, 0
	}
	const variadic = 1 << 15
	return uint64(binary.LittleEndian.Uint16(raw)), uint64(binary.LittleEndian.Uint16(raw[2:]) &^ variadic)
}

// typeWalk visits descriptors once each.
type typeWalk struct {
	b       *Binary
	seen    []uint64 // one bit per word of the types
	pending []uint64
	budget  int // references that may still be followed
}

// maxReferences bounds the references between types that a walk follows. An
// executable of 130 MB has about a million.
const maxReferences = 4 << 20

// add notes a descriptor's address, unless it was noted before.
func (w *typeWalk) add(addr uint64) {
	md := &w.b.md
	w.budget--
	if w.budget < 0 || addr < md.types || addr >= md.etypes || addr%wordSize != 0 {
		return
	}
	position := (addr - md.types) / wordSize
	if bit := uint64(1) << (position % 64); w.seen[position/64]&bit == 0 {
		w.seen[position/64] |= bit
		w.pending = append(w.pending, addr)
	}
}

// drain yields all noted descriptors and those that they refer to.
func (w *typeWalk) drain(yield func(descriptor) bool) bool {
	for len(w.pending) > 0 {
		addr := w.pending[len(w.pending)-1]
		w.pending = w.pending[:len(w.pending)-1]
		d, ok := w.b.md.descriptor(w.b.image, addr)
		if !ok {
			continue
		}
		if !yield(d) {
			return false
		}
		w.follow(d)
	}
	return true
}

// follow notes the types that d refers to. Methods' types are left out: they
// lead to nothing that values hold, and they are half of all references.
func (w *typeWalk) follow(d descriptor) {
	md, im := &w.b.md, w.b.image
	if d.ptrToThis != 0 {
		w.add(md.types + uint64(d.ptrToThis))
	}
	switch d.kind {
	case kindPointer, kindSlice, kindArray, kindChan:
		w.addRefs(d.addr+descriptorSize, 1, wordSize)
	case kindMap:
		w.addRefs(d.addr+descriptorSize, 3, wordSize) // key, value, bucket or group
	case kindFunc:
		in, out := md.parameters(im, d)
		start := d.addr + md.uncommonOffset(im, d)
		if d.flags&flagUncommon != 0 {
			start += uncommonSize
		}
		w.addRefs(start, in+out, wordSize)
	case kindStruct:
		start, count, ok := im.slice(d.addr + structFields)
		if ok && count <= maxFields {
			w.addRefs(start+wordSize, count, fieldSize)
		}
	}
}

// addRefs notes the targets of count pointers, stride bytes apart.
func (w *typeWalk) addRefs(start, count, stride uint64) {
	for i := range count {
		target, ok := w.b.image.word(start + i*stride)
		if !ok || w.budget < 0 {
			return
		}
		w.add(target)
	}
}
