package process

import "runtime/debug"

// Wrapper is a type whose values hold another value of an interface type that they implement themselves, as most contexts hold
// their parent.
type Wrapper struct {
	Addr uint64 // link-time address of the descriptor, as the second word of an itab has it
	Type string // canonical name
	// Path leads from the interface value's data word to the inner interface value: add Path[0]; if there is a Path[1], read the
	// pointer there and add that.
	Path []uint64
}

// Wrappers returns the types that the linker knows as implementations of an interface type and that hold a value of that
// type: in an embedded field before others, in embedded structs and pointers to such too, or by way of a pointer to the struct
// holder, in its field: Wrappers("context.Context", "net/http.Request", "ctx").
func (b *Binary) Wrappers(iface, holder, field string) (found []Wrapper) {
	var err error
	defer b.image.recoverFault(debug.SetPanicOnFault(true), &err)
	s := wrapperSearch{b: b, iface: iface, holder: holder}
	if p, err := b.Field(holder, field); err == nil {
		s.held, s.hasHolder = p.Inline()
	}
	named, seen := map[uint64]bool{}, map[uint64]bool{}
	for t := range b.itabs() {
		wanted, known := named[t.iface]
		if !known {
			wanted = b.isNamed(t.iface, iface)
			named[t.iface] = wanted
		}
		if !wanted || seen[t.concrete] {
			continue
		}
		seen[t.concrete] = true
		d, ok := b.md.descriptor(b.image, t.concrete)
		if !ok {
			continue
		}
		if path := s.fromData(d); path != nil {
			found = append(found, Wrapper{Addr: d.addr, Type: b.canonical(d), Path: path})
		}
	}
	return found
}

// wrapperSearch looks for a value of the interface type in structs.
type wrapperSearch struct {
	b             *Binary
	iface, holder string
	held          uint64 // offset of the interface value in the holder
	hasHolder     bool
	budget        int // structs that may still be looked into for the type at hand
}

// fromData returns the path from the data word of an interface value whose dynamic type is d.
func (s *wrapperSearch) fromData(d descriptor) []uint64 {
	s.budget = maxEmbedded
	if d.kind == kindPointer {
		elem, ok := s.b.md.elem(s.b.image, d)
		if !ok {
			return nil
		}
		return s.inStruct(elem, 0)
	}
	path := s.inStruct(d, 0)
	if s.pointerShaped(d, 0) && len(path) == 2 {
		return path[1:] // the data word is the value itself, which is that pointer
	}
	return path
}

// pointerShaped says whether a value is a single pointer, which an interface value holds without a copy behind it.
func (s *wrapperSearch) pointerShaped(d descriptor, depth int) bool {
	if d.kind == kindPointer {
		return true
	}
	if d.kind != kindStruct || d.size != wordSize || depth == maxEmbedding {
		return false
	}
	fields := s.b.md.fields(s.b.image, d)
	return len(fields) == 1 && s.pointerShaped(fields[0].typ, depth+1)
}

// inStruct returns the path from the address of a struct, nil if there is none, or only one through two pointers.
func (s *wrapperSearch) inStruct(d descriptor, depth int) []uint64 {
	if s.budget--; s.budget < 0 || d.kind != kindStruct || depth == maxEmbedding {
		return nil
	}
	fields := s.b.md.fields(s.b.image, d)
	for _, embedded := range []bool{true, false} {
		for _, f := range fields {
			if f.embedded == embedded {
				if path := s.inField(f.typ, embedded, depth); path != nil {
					return offsetFirst(path, f.offset)
				}
			}
		}
	}
	return nil
}

// inField returns the path from the address of a field.
func (s *wrapperSearch) inField(typ descriptor, embedded bool, depth int) []uint64 {
	switch typ.kind {
	case kindInterface:
		if s.b.canonical(typ) == s.iface {
			return []uint64{0}
		}
	case kindStruct:
		if embedded {
			return s.inStruct(typ, depth+1)
		}
	case kindPointer:
		elem, ok := s.b.md.elem(s.b.image, typ)
		if !ok {
			return nil
		}
		if s.hasHolder && s.b.canonical(elem) == s.holder {
			return []uint64{0, s.held}
		}
		if !embedded {
			return nil
		}
		if path := s.inStruct(elem, depth+1); len(path) == 1 {
			return []uint64{0, path[0]}
		}
	}
	return nil
}

func offsetFirst(path []uint64, by uint64) []uint64 {
	return append([]uint64{path[0] + by}, path[1:]...)
}
