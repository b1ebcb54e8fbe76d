package process

import (
	"fmt"
	"runtime/debug"
)

// MapSlots is the number of entries in a group of a Swiss map and in a bucket
// of an old one.
const MapSlots = 8

// MapLayout tells how the entries of a map type lie in memory. All values are
// in bytes.
//
// A map value is a pointer to the header. In a Swiss map (Go ≥ 1.24) DirLen of
// the header is 0 for a small map, and DirPtr points to its only group;
// otherwise DirPtr points to DirLen pointers to tables (neighbours may be the
// same), and a table's groups are an array of LengthMask+1 groups. A slot of a
// group is used if the byte at Ctrl+slot has its top bit clear.
//
// In an old map Buckets of the header points to 1<<B buckets, and OldBuckets,
// if not nil, to those not yet moved (half as many, or as many if B did not
// grow). Each bucket is chained through Overflow. A slot is used if the byte at
// TopHash+slot is 5 or more.
//
// Entry i of a group or bucket has its key at FirstKey + i*KeyStride and its
// value at FirstElem + i*ElemStride.
type MapLayout struct {
	Swiss bool

	Count uint64 // header: number of entries, a word

	DirPtr, DirLen     uint64 // Swiss header
	Groups, LengthMask uint64 // Swiss table
	Ctrl               uint64 // Swiss group

	Flags, B            uint64 // old header, one byte each
	Buckets, OldBuckets uint64
	TopHash, Overflow   uint64 // old bucket

	FirstKey, KeyStride   uint64
	FirstElem, ElemStride uint64
	KeySize, ElemSize     uint64 // as stored: that of a pointer if the value is stored behind one
	GroupSize             uint64 // of a group or bucket

	KeyIndirect, ElemIndirect bool // the slot holds a pointer (keys or values over 128 bytes)
}

// Map returns the layout of the named map type with this canonical name:
// Map("net/http.Header"). The error wraps ErrNoType or ErrNoField.
//
// The entries are described by the map type's own group or bucket descriptor.
// The headers come from the descriptors of the runtime's structs.
func (b *Binary) Map(typ string) (m MapLayout, err error) {
	defer b.image.recoverFault(debug.SetPanicOnFault(true), &err)
	d, ok := b.typeNamed(typ)
	if !ok || d.kind != kindMap {
		return MapLayout{}, b.noType("map type " + typ)
	}
	key, ok1 := b.md.descriptorRef(b.image, d.addr+descriptorSize)
	elem, ok2 := b.md.elem(b.image, d)
	group, ok3 := b.md.descriptorRef(b.image, d.addr+mapGroup)
	if !ok1 || !ok2 || !ok3 {
		return MapLayout{}, b.noType("the entries of " + typ)
	}
	if m, ok = b.readGroup(group); !ok {
		return MapLayout{}, fmt.Errorf("%w: the entries of map type %s have an unknown layout in %s", ErrNoField, typ, b.Path)
	}
	m.KeyIndirect = m.KeySize != key.size
	m.ElemIndirect = m.ElemSize != elem.size
	if err := b.readMapHeader(&m); err != nil {
		return MapLayout{}, err
	}
	return m, nil
}

// readGroup takes a layout from the struct that describes a group or bucket.
func (b *Binary) readGroup(group descriptor) (MapLayout, bool) {
	byName := b.fieldsByName(group)
	m := MapLayout{GroupSize: group.size}
	if ctrl, ok := byName["ctrl"]; ok {
		m.Swiss = true
		m.Ctrl = ctrl.offset
	} else if tophash, ok := byName["topbits"]; ok {
		m.TopHash = tophash.offset
		m.Overflow = byName["overflow"].offset
	} else {
		return MapLayout{}, false
	}
	if slots, ok := byName["slots"]; ok {
		ok = b.readSlots(&m, slots)
		return m, ok
	}
	keys, ok1 := byName["keys"]
	elems, ok2 := byName["elems"]
	key, ok3 := b.md.elem(b.image, keys.typ)
	elem, ok4 := b.md.elem(b.image, elems.typ)
	m.FirstKey, m.KeySize, m.KeyStride = keys.offset, key.size, key.size
	m.FirstElem, m.ElemSize, m.ElemStride = elems.offset, elem.size, elem.size
	return m, ok1 && ok2 && ok3 && ok4
}

// readSlots takes the layout of keys and values that lie side by side.
func (b *Binary) readSlots(m *MapLayout, slots field) bool {
	slot, ok := b.md.elem(b.image, slots.typ)
	byName := b.fieldsByName(slot)
	key, ok1 := byName["key"]
	elem, ok2 := byName["elem"]
	m.FirstKey, m.KeySize, m.KeyStride = slots.offset+key.offset, key.typ.size, slot.size
	m.FirstElem, m.ElemSize, m.ElemStride = slots.offset+elem.offset, elem.typ.size, slot.size
	return ok && ok1 && ok2
}

func (b *Binary) fieldsByName(d descriptor) map[string]field {
	byName := map[string]field{}
	for _, f := range b.md.fields(b.image, d) {
		byName[string(f.name)] = f
	}
	return byName
}

// readMapHeader fills in the offsets of the runtime's own structs.
func (b *Binary) readMapHeader(m *MapLayout) error {
	header, offsets := "runtime.hmap", map[string]*uint64{
		"count": &m.Count, "flags": &m.Flags, "B": &m.B, "buckets": &m.Buckets, "oldbuckets": &m.OldBuckets,
	}
	if m.Swiss {
		header, offsets = "internal/runtime/maps.Map", map[string]*uint64{
			"used": &m.Count, "dirPtr": &m.DirPtr, "dirLen": &m.DirLen,
		}
		if err := b.readOffsets("internal/runtime/maps.table", map[string]*uint64{
			"groups.data": &m.Groups, "groups.lengthMask": &m.LengthMask,
		}); err != nil {
			return err
		}
	}
	return b.readOffsets(header, offsets)
}

// readOffsets sets each offset to that of the field with its name.
func (b *Binary) readOffsets(typ string, offsets map[string]*uint64) error {
	for path, to := range offsets {
		p, err := b.Field(typ, path)
		if err != nil {
			return err
		}
		offset, ok := p.Inline()
		if !ok {
			return fmt.Errorf("%w: %s.%s lies behind a pointer in %s", ErrNoField, typ, path, b.Path)
		}
		*to = offset
	}
	return nil
}
