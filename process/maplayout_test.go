package process

import (
	"debug/dwarf"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMapEqualsDWARF(t *testing.T) {
	maps := map[string]struct{ swiss, old, oldest string }{
		"net/http.Header": {"noalg.map.group[string][]string", "bucket<string,[]string>", "noalg.map.bucket[string][]string"},
		"main.Table":      {"noalg.map.group[uint16][5]string", "bucket<uint16,[5]string>", "noalg.map.bucket[uint16][5]string"},
	}
	for _, spec := range layoutSpecs() {
		t.Run(spec.String(), func(t *testing.T) {
			path := buildFixture(t, spec)
			b := openFixture(t, stripped(spec))
			for name, structs := range maps {
				oracle := readDWARF(t, path, structs.swiss, structs.old, structs.oldest,
					"runtime.hmap", "internal/runtime/maps.Map", "internal/runtime/maps.table", "internal/runtime/maps.groupsReference")
				var want MapLayout
				switch {
				case oracle[structs.swiss] != nil:
					want = swissFromDWARF(t, oracle, structs.swiss)
				case oracle[structs.old] != nil:
					want = oldFromDWARF(t, oracle, structs.old)
				default:
					want = oldFromDWARF(t, oracle, structs.oldest)
				}
				got, err := b.Map(name)
				if err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("Map(%q) (-DWARF +got):\n%s", name, diff)
				}
			}
		})
	}
}

func swissFromDWARF(t *testing.T, d dwarfStructs, group string) MapLayout {
	at := offsets(t, d)
	m := MapLayout{
		Swiss:      true,
		Count:      at("internal/runtime/maps.Map", "used"),
		DirPtr:     at("internal/runtime/maps.Map", "dirPtr"),
		DirLen:     at("internal/runtime/maps.Map", "dirLen"),
		Groups:     at("internal/runtime/maps.table", "groups") + at("internal/runtime/maps.groupsReference", "data"),
		LengthMask: at("internal/runtime/maps.table", "groups") + at("internal/runtime/maps.groupsReference", "lengthMask"),
		Ctrl:       at(group, "ctrl"),
		GroupSize:  uint64(d[group].ByteSize),
	}
	if _, _, split := d.field(group, "keys"); split {
		m.FirstKey, m.KeySize, m.KeyStride = arrayFromDWARF(d[group], "keys")
		m.FirstElem, m.ElemSize, m.ElemStride = arrayFromDWARF(d[group], "elems")
		return m
	}
	slots := at(group, "slots")
	slot := underlying(underlying(structField(d[group], "slots").Type).(*dwarf.ArrayType).Type).(*dwarf.StructType)
	key, elem := structField(slot, "key"), structField(slot, "elem")
	m.FirstKey, m.KeySize, m.KeyStride = slots+uint64(key.ByteOffset), uint64(key.Type.Size()), uint64(slot.ByteSize)
	m.FirstElem, m.ElemSize, m.ElemStride = slots+uint64(elem.ByteOffset), uint64(elem.Type.Size()), uint64(slot.ByteSize)
	return m
}

func oldFromDWARF(t *testing.T, d dwarfStructs, bucket string) MapLayout {
	at := offsets(t, d)
	// The linker's bucket<> has other names than the compiler's map.bucket[].
	tophash, keys, elems := "topbits", "keys", "elems"
	if _, _, ok := d.field(bucket, tophash); !ok {
		tophash, elems = "tophash", "values"
	}
	m := MapLayout{
		Count:      at("runtime.hmap", "count"),
		Flags:      at("runtime.hmap", "flags"),
		B:          at("runtime.hmap", "B"),
		Buckets:    at("runtime.hmap", "buckets"),
		OldBuckets: at("runtime.hmap", "oldbuckets"),
		TopHash:    at(bucket, tophash),
		Overflow:   at(bucket, "overflow"),
		GroupSize:  uint64(d[bucket].ByteSize),
	}
	m.FirstKey, m.KeySize, m.KeyStride = arrayFromDWARF(d[bucket], keys)
	m.FirstElem, m.ElemSize, m.ElemStride = arrayFromDWARF(d[bucket], elems)
	return m
}

func offsets(t *testing.T, d dwarfStructs) func(typ, name string) uint64 {
	return func(typ, name string) uint64 {
		t.Helper()
		offset, _, ok := d.field(typ, name)
		if !ok {
			t.Fatalf("no DWARF of %s.%s", typ, name)
		}
		return offset
	}
}

func arrayFromDWARF(s *dwarf.StructType, name string) (first, size, stride uint64) {
	f := structField(s, name)
	elem := underlying(f.Type).(*dwarf.ArrayType).Type
	return uint64(f.ByteOffset), uint64(elem.Size()), uint64(elem.Size())
}

func underlying(t dwarf.Type) dwarf.Type {
	for {
		def, ok := t.(*dwarf.TypedefType)
		if !ok {
			return t
		}
		t = def.Type
	}
}

func structField(s *dwarf.StructType, name string) *dwarf.StructField {
	for _, f := range s.Field {
		if f.Name == name {
			return f
		}
	}
	return &dwarf.StructField{}
}

func TestMapErrors(t *testing.T) {
	b := openFixture(t, stripped(buildSpec{Go: "1.26.8"}))
	for _, name := range []string{"", "main.Absent", "main.Outer"} {
		if m, err := b.Map(name); !errors.Is(err, ErrNoType) {
			t.Errorf("Map(%q) = %+v, %v", name, m, err)
		}
	}
}
