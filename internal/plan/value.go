package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/probes"
	"github.com/remora-agent/remora/process"
)

// values tells how to read the values that of names and that the binary has. Of more than there is room for, those that come
// last are left out.
func values(b *process.Binary, of probes.Values) bpf.KnownValues {
	var known bpf.KnownValues
	add := func(v bpf.KnownValue) {
		same := func(k bpf.KnownValue) bool { return k.Type == v.Type }
		if n := int(known.N); n < len(known.At) && !slices.ContainsFunc(known.At[:n], same) {
			known.At[n] = v
			known.N++
		}
	}
	for _, value := range of.Known {
		v, ok := layout(b, value)
		if !ok {
			continue
		}
		for _, v.Type = range b.TypeAddrs(value.Type) {
			add(v)
		}
	}
	for _, iface := range of.Holders {
		wrappers := b.Wrappers(iface, "", "")
		slices.SortFunc(wrappers, func(a, b process.Wrapper) int { return cmp.Compare(a.Addr, b.Addr) })
		for _, w := range wrappers {
			v, _ := layout(b, probes.Value{})
			v.Type, v.Inner = w.Addr, valuePath(w.Path)
			add(v)
		}
	}
	return known
}

// layout finds all parts of a value, false if one is missing.
func layout(b *process.Binary, value probes.Value) (v bpf.KnownValue, ok bool) {
	find := func(path string) (bpf.ValuePath, uint64) {
		switch path {
		case "":
			return valuePath(nil), 0
		case ".":
			size, err := b.StructSize(value.Type)
			ok = ok && err == nil
			return valuePath([]uint64{0}), size
		}
		path, first := strings.CutSuffix(path, "[0]")
		p, err := b.Field(strings.TrimPrefix(value.Type, "*"), path)
		if first {
			p.Offsets = append(p.Offsets, 0) // behind the slice's pointer
		}
		if err != nil || len(p.Offsets) > len(bpf.ValuePath{}.Step) {
			ok = false
		}
		return valuePath(p.Offsets), p.Size
	}
	ok = true
	for i, path := range value.Strings {
		v.Strings[i], _ = find(path)
	}
	size := uint64(0)
	v.Number, size = find(value.Number)
	v.NumberSize = uint32(size)
	v.Inner, _ = find(value.Inner)
	return v, ok
}

// valuePath makes a path of as many of its steps as there is room for.
func valuePath(offsets []uint64) bpf.ValuePath {
	var p bpf.ValuePath
	for i := range p.Step {
		p.Step[i] = bpf.ValuePathEnd
		if i < len(offsets) {
			p.Step[i] = int32(offsets[i])
		}
	}
	return p
}
