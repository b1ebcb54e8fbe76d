package process

import (
	"fmt"
	"runtime/debug"
	"strings"
)

const (
	// maxEmbedding bounds the depth at which promoted fields are looked for,
	// maxEmbedded the structs that are looked into.
	maxEmbedding = 8
	maxEmbedded  = 256
)

// Path tells how to reach a field from the address of a struct: add Offsets[0];
// for every further element read the pointer there and add that element to it.
type Path struct {
	Offsets []uint64
	Size    uint64 // of the field, bytes
	Type    string // canonical name of the field's type, as TypeName gives it
}

// Inline returns the only offset of a field that lies within the struct itself,
// false if a pointer is on the way.
func (p Path) Inline() (offset uint64, ok bool) {
	if len(p.Offsets) != 1 {
		return 0, false
	}
	return p.Offsets[0], true
}

// Field resolves a path of field names, separated by dots, from the struct with
// a canonical name: Field("net/http.Request", "URL.RawQuery"). It goes through
// pointers and embedded structs as a Go selector does.
//
// The error wraps ErrNoType or ErrNoField.
func (b *Binary) Field(typ, path string) (p Path, err error) {
	defer b.image.recoverFault(debug.SetPanicOnFault(true), &err)
	candidates := b.typesNamed(typ)
	if len(candidates) == 0 {
		return Path{}, b.noType(typ)
	}
	// Types declared within functions may share their name: take the first with the field.
	for _, d := range candidates {
		if p, ok := b.resolve(d, strings.Split(path, ".")); ok {
			return p, nil
		}
	}
	return Path{}, fmt.Errorf("%w: %s has no %s in %s; give the name that this version uses as an alternative", ErrNoField, typ, path, b.Path)
}

// StructSize returns the size in bytes of a value of the named type with this
// canonical name. The error wraps ErrNoType.
func (b *Binary) StructSize(typ string) (size uint64, err error) {
	defer b.image.recoverFault(debug.SetPanicOnFault(true), &err)
	d, ok := b.typeNamed(typ)
	if !ok {
		return 0, b.noType(typ)
	}
	return d.size, nil
}

func (b *Binary) noType(name string) error {
	return fmt.Errorf("%w: %s in %s; the program does not use it, or only on the stack: probe a function whose receiver has a descriptor", ErrNoType, name, b.Path)
}

// resolve follows names from a struct, or from a pointer to one.
func (b *Binary) resolve(d descriptor, names []string) (Path, bool) {
	offsets := []uint64{0}
	for _, name := range names {
		if d.kind == kindPointer {
			elem, ok := b.md.elem(b.image, d)
			if !ok {
				return Path{}, false
			}
			d = elem
			offsets = append(offsets, 0)
		}
		steps, typ, ok := b.selectField(d, name)
		if !ok {
			return Path{}, false
		}
		offsets[len(offsets)-1] += steps[0]
		offsets = append(offsets, steps[1:]...)
		d = typ
	}
	return Path{Offsets: offsets, Size: d.size, Type: b.canonical(d)}, true
}

// embeddedStruct is a struct that selectField has still to look into.
type embeddedStruct struct {
	typ     descriptor
	offsets []uint64
}

// selectField finds a field of a struct or the shallowest promoted one.
func (b *Binary) selectField(d descriptor, name string) (offsets []uint64, typ descriptor, ok bool) {
	level := []embeddedStruct{{d, []uint64{0}}}
	seen := map[uint64]bool{}
	for depth := 0; depth < maxEmbedding && len(level) > 0; depth++ {
		var next []embeddedStruct
		for _, s := range level {
			if seen[s.typ.addr] || len(seen) == maxEmbedded {
				continue
			}
			seen[s.typ.addr] = true
			for _, f := range b.md.fields(b.image, s.typ) {
				at := offsetBy(s.offsets, f.offset)
				if string(f.name) == name {
					return at, f.typ, true
				}
				if !f.embedded {
					continue
				}
				inner := embeddedStruct{f.typ, at}
				if f.typ.kind == kindPointer {
					inner.typ, _ = b.md.elem(b.image, f.typ)
					inner.offsets = append(at, 0)
				}
				if inner.typ.kind == kindStruct {
					next = append(next, inner)
				}
			}
		}
		level = next
	}
	return nil, descriptor{}, false
}

// offsetBy returns a copy of offsets whose last element is increased.
func offsetBy(offsets []uint64, by uint64) []uint64 {
	moved := append([]uint64{}, offsets...)
	moved[len(moved)-1] += by
	return moved
}
