package process

import (
	"debug/dwarf"
	"debug/elf"
	"testing"
)

// dwarfStructs is the tests' oracle: the structs of an executable by name, as
// its debug information describes them.
type dwarfStructs map[string]*dwarf.StructType

func readDWARF(t testing.TB, path string, names ...string) dwarfStructs {
	t.Helper()
	data := openDWARF(t, path)
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	structs := dwarfStructs{}
	eachEntry(t, data, func(entry *dwarf.Entry) {
		name, _ := entry.Val(dwarf.AttrName).(string)
		if entry.Tag != dwarf.TagStructType || !wanted[name] {
			return
		}
		typ, err := data.Type(entry.Offset)
		if err != nil {
			t.Fatal(err)
		}
		structs[name] = typ.(*dwarf.StructType)
	})
	return structs
}

// openDWARF returns an executable's debug information.
func openDWARF(t testing.TB, path string) *dwarf.Data {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	data, err := file.DWARF()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// eachEntry calls do with every entry of debug information.
func eachEntry(t testing.TB, data *dwarf.Data, do func(*dwarf.Entry)) {
	t.Helper()
	for reader := data.Reader(); ; {
		entry, err := reader.Next()
		if err != nil {
			t.Fatal(err)
		}
		if entry == nil {
			return
		}
		do(entry)
	}
}

// field returns the offset and size of a field, false if there is none.
func (s dwarfStructs) field(typ, name string) (offset, size uint64, ok bool) {
	d := s[typ]
	if d == nil {
		return 0, 0, false
	}
	for _, f := range d.Field {
		if f.Name == name {
			return uint64(f.ByteOffset), uint64(f.Type.Size()), true
		}
	}
	return 0, 0, false
}
