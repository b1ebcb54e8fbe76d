package process

import (
	"bytes"
	"iter"
	"runtime/debug"
)

// itab is an abi.ITab in the executable: interface type 0, concrete type 8,
// hash 16, methods 24.
// https://github.com/golang/go/blob/go1.26.8/src/internal/abi/iface.go#L14
type itab struct {
	addr            uint64
	iface, concrete uint64 // descriptors' addresses
}

// Itabs returns the link-time addresses of the itabs that stand for a concrete
// type in values of an interface type: Itabs("net/http.ResponseWriter",
// "*net/http.response"). The first word of such an interface value is one of
// them plus the load address. There may be several, and itabs that the program
// makes only when it runs (by reflection or a type assertion to an interface)
// are not among them.
func (b *Binary) Itabs(iface, concrete string) (addrs []uint64) {
	var err error
	defer b.image.recoverFault(debug.SetPanicOnFault(true), &err)
	named := map[uint64]bool{} // whether the interface type at an address is the wanted one
	for t := range b.itabs() {
		wanted, known := named[t.iface]
		if !known {
			wanted = b.isNamed(t.iface, iface)
			named[t.iface] = wanted
		}
		if wanted && b.isNamed(t.concrete, concrete) {
			addrs = append(addrs, t.addr)
		}
	}
	return addrs
}

// isNamed reports whether the descriptor at addr has a canonical name. Comparing
// the ends first saves making a string of most others.
func (b *Binary) isNamed(addr uint64, name string) bool {
	d, ok := b.md.descriptor(b.image, addr)
	_, short := splitStars(shortName(name))
	return ok && bytes.HasSuffix(b.md.typeString(b.image, d), []byte(short)) && b.canonical(d) == name
}

// itabs yields all itabs that the linker laid out.
func (b *Binary) itabs() iter.Seq[itab] {
	return func(yield func(itab) bool) {
		for i := range b.md.itabCount {
			addr, _ := b.image.word(b.md.itablinks + i*wordSize)
			if t, ok := b.itabAt(addr); ok && !yield(t) {
				return
			}
		}
		for addr := b.md.itabs; addr < b.md.eitabs; {
			t, ok := b.itabAt(addr)
			if !ok || !yield(t) {
				return
			}
			addr += b.itabSize(t)
		}
	}
}

func (b *Binary) itabAt(addr uint64) (itab, bool) {
	iface, ok1 := b.image.word(addr)
	concrete, ok2 := b.image.word(addr + wordSize)
	return itab{addr, iface, concrete}, ok1 && ok2 && iface != 0
}

// itabSize is abi.ITab.Size of Go 1.27: one word per method, and a single one
// if the type does not implement the interface, which a zero first word says.
// https://github.com/golang/go/blob/go1.27.4/src/internal/abi/iface.go#L25
func (b *Binary) itabSize(t itab) uint64 {
	const header = 24
	methods := uint64(1)
	if first, _ := b.image.word(t.addr + header); first != 0 {
		_, count, _ := b.image.slice(t.iface + interfaceMethods)
		methods = max(1, min(count, maxFields))
	}
	return header + methods*wordSize
}
