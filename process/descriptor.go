package process

import (
	"encoding/binary"
)

// typeKind is abi.Kind: https://github.com/golang/go/blob/go1.26.8/src/internal/abi/type.go#L49
type typeKind uint8

const (
	kindArray         typeKind = 17
	kindChan          typeKind = 18
	kindFunc          typeKind = 19
	kindInterface     typeKind = 20
	kindMap           typeKind = 21
	kindPointer       typeKind = 22
	kindSlice         typeKind = 23
	kindStruct        typeKind = 25
	kindUnsafePointer typeKind = 26

	kindMask = 1<<5 - 1 // the bits above were flags up to Go 1.25
)

const (
	flagUncommon  = 1 << 0 // an abi.UncommonType follows the kind's own part
	flagExtraStar = 1 << 1 // the string has a "*" that is not part of it
	flagNamed     = 1 << 2

	nameFlags    = 0x0f   // all that are defined
	nameEmbedded = 1 << 3 // from Go 1.19
)

const (
	descriptorSize = 48 // abi.Type
	fieldSize      = 24 // abi.StructField

	structFields     = 56 // abi.StructType.Fields
	interfaceMethods = 56 // abi.InterfaceType.Methods
	mapGroup         = 64 // abi.MapType.Group, abi.OldMapType.Bucket

	maxFields  = 1 << 12
	maxName    = 1 << 16
	maxChecked = 64 // bytes of a name that are checked for being text
)

// descriptor is an abi.Type as it lies in the executable:
//
//	size 0, ptrdata 8, hash 16, tflag 20, align 21, fieldAlign 22, kind 23,
//	equal 24, gcdata 32, str int32 40, ptrToThis int32 44
//
// https://github.com/golang/go/blob/go1.26.8/src/internal/abi/type.go#L20
type descriptor struct {
	addr      uint64
	size      uint64 // of a value, bytes
	flags     uint8
	kind      typeKind
	str       uint32 // offset of the type's string from types
	ptrToThis uint32 // offset of the descriptor of *T from types, 0 if unknown
}

func (d descriptor) named() bool { return d.flags&flagNamed != 0 }

// descriptor reads and validates the descriptor at addr; false if there cannot
// be one.
func (md *moduledata) descriptor(im *image, addr uint64) (descriptor, bool) {
	if addr < md.types || addr >= md.etypes || addr%wordSize != 0 {
		return descriptor{}, false
	}
	raw := im.bytes(addr, descriptorSize)
	if raw == nil {
		return descriptor{}, false
	}
	le := binary.LittleEndian
	d := descriptor{
		addr:      addr,
		size:      le.Uint64(raw),
		flags:     raw[20],
		kind:      typeKind(raw[23] & kindMask),
		str:       le.Uint32(raw[40:]),
		ptrToThis: le.Uint32(raw[44:]),
	}
	ptrdata, align, fieldAlign := le.Uint64(raw[8:]), raw[21], raw[22]
	ok := d.kind >= 1 && d.kind <= kindUnsafePointer &&
		ptrdata <= d.size && ptrdata%wordSize == 0 &&
		powerOfTwo(align) && powerOfTwo(fieldAlign) && d.size%uint64(align) == 0 &&
		d.str != 0
	if !ok {
		return descriptor{}, false
	}
	text, _, ok := md.name(im, md.types+uint64(d.str))
	return d, ok && len(text) > 0
}

func powerOfTwo(n byte) bool { return n != 0 && n&(n-1) == 0 }

// name reads the abi.Name at addr: a byte of flags, a varint length, the text.
// The text is part of the mapping.
// https://github.com/golang/go/blob/go1.26.8/src/internal/abi/type.go#L590
func (md *moduledata) name(im *image, addr uint64) (text []byte, flags byte, ok bool) {
	if addr < md.types || addr >= md.etypes {
		return nil, 0, false
	}
	b := im.rest(addr)
	if len(b) < 2 || b[0]&^nameFlags != 0 {
		return nil, 0, false
	}
	length, width := binary.Uvarint(b[1:min(len(b), 1+binary.MaxVarintLen32)])
	start := uint64(1 + width)
	if width <= 0 || length > maxName || length > uint64(len(b))-start {
		return nil, 0, false
	}
	text = b[start : start+length]
	return text, b[0], looksLikeText(text)
}

// looksLikeText reports whether a name starts with printable characters. A
// full check of a name that is read often would be costly.
func looksLikeText(name []byte) bool {
	for _, c := range name[:min(len(name), maxChecked)] {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

// typeString returns the type's string with its package's name:
// "*http.Request". It is part of the mapping.
func (md *moduledata) typeString(im *image, d descriptor) []byte {
	text, _, _ := md.name(im, md.types+uint64(d.str))
	if d.flags&flagExtraStar != 0 && len(text) > 0 && text[0] == '*' {
		text = text[1:]
	}
	return text
}

// elem returns the descriptor that a pointer, slice, array, channel or map type
// refers to: the map's value type, otherwise its only element type.
func (md *moduledata) elem(im *image, d descriptor) (descriptor, bool) {
	position := uint64(descriptorSize)
	switch d.kind {
	case kindMap:
		position += wordSize // behind the key
	case kindArray, kindChan, kindPointer, kindSlice:
	default:
		return descriptor{}, false
	}
	return md.descriptorRef(im, d.addr+position)
}

// descriptorRef follows the pointer at addr to a descriptor.
func (md *moduledata) descriptorRef(im *image, addr uint64) (descriptor, bool) {
	target, ok := im.word(addr)
	if !ok {
		return descriptor{}, false
	}
	return md.descriptor(im, target)
}

// uncommonOffset is where the abi.UncommonType of a type with methods or a name
// starts: behind the part that depends on the kind.
func (md *moduledata) uncommonOffset(im *image, d descriptor) uint64 {
	switch d.kind {
	case kindPointer, kindSlice, kindFunc:
		return 56
	case kindChan:
		return 64
	case kindArray:
		return 72
	case kindStruct, kindInterface:
		return 80
	case kindMap:
		return md.mapDescriptorSize(im, d)
	default:
		return descriptorSize
	}
}

// mapDescriptorSize is the size of a map type's own part: of the layout's
// abi.MapType for a Swiss map, of abi.OldMapType otherwise (before Go 1.24, and
// up to Go 1.25 with GOEXPERIMENT=noswissmap).
func (md *moduledata) mapDescriptorSize(im *image, d descriptor) uint64 {
	const oldMapType = 88
	if md.mapTypeSize == 0 {
		return oldMapType
	}
	group, _ := md.descriptorRef(im, d.addr+mapGroup)
	start, _, _ := im.slice(group.addr + structFields)
	if first, ok := md.field(im, start); ok && string(first.name) == "ctrl" {
		return md.mapTypeSize
	}
	return oldMapType
}

// packagePath returns the import path of the package that declared a named type.
func (md *moduledata) packagePath(im *image, d descriptor) string {
	if !d.named() || d.flags&flagUncommon == 0 {
		return ""
	}
	offset, ok := im.uint32(d.addr + md.uncommonOffset(im, d))
	if !ok || offset == 0 {
		return ""
	}
	path, _, _ := md.name(im, md.types+uint64(offset))
	return string(path)
}

// field is one field of a struct type.
type field struct {
	name     []byte // part of the mapping
	offset   uint64 // bytes from the start of the struct
	embedded bool
	typ      descriptor
}

// fields returns the fields of a struct type, nil if it is none or its
// descriptor makes no sense.
func (md *moduledata) fields(im *image, d descriptor) []field {
	if d.kind != kindStruct {
		return nil
	}
	start, count, ok := im.slice(d.addr + structFields)
	if !ok || count > maxFields {
		return nil
	}
	fields := make([]field, 0, count)
	for i := range count {
		f, ok := md.field(im, start+i*fieldSize)
		if !ok {
			return nil
		}
		fields = append(fields, f)
	}
	if md.shifted {
		for i := range fields {
			fields[i].embedded = fields[i].offset&1 != 0
			fields[i].offset >>= 1
		}
	}
	for _, f := range fields {
		if f.offset > d.size || f.typ.size > d.size-f.offset {
			return nil
		}
	}
	return fields
}

// field reads an abi.StructField: name, type, offset.
func (md *moduledata) field(im *image, addr uint64) (field, bool) {
	nameAddr, _ := im.word(addr)
	text, flags, ok := md.name(im, nameAddr)
	if !ok {
		return field{}, false
	}
	typ, ok := md.descriptorRef(im, addr+wordSize)
	if !ok {
		return field{}, false
	}
	offset, ok := im.word(addr + 2*wordSize)
	return field{text, offset, flags&nameEmbedded != 0, typ}, ok
}

// shiftedOffsets reports whether the offsets of fields are those of Go 1.18,
// which stored offset<<1 | embedded. Go 1.19 has the same function table, so
// that a struct itself must tell: a last field that lies 8 bytes or more behind
// the start ends less than 8 bytes before the struct does, so that twice its
// offset is beyond the end.
func (md *moduledata) shiftedOffsets(im *image) bool {
	if md.magic != pclntabGo118 {
		return false
	}
	for i := range md.typelinkCount() {
		pointer, ok := md.descriptor(im, md.typelink(i))
		if !ok || pointer.kind != kindPointer {
			continue
		}
		d, ok := md.elem(im, pointer)
		if !ok || d.kind != kindStruct {
			continue
		}
		start, count, ok := im.slice(d.addr + structFields)
		if !ok || count == 0 || count > maxFields {
			continue
		}
		last, ok := md.field(im, start+(count-1)*fieldSize)
		if ok && last.offset >= 16 {
			return last.offset+last.typ.size > d.size
		}
	}
	return false
}
