package matrix

import (
	"debug/dwarf"
	"debug/elf"
	"slices"
	"strings"
	"testing"

	"github.com/remora-agent/remora/probes"
)

// oracle is what an unstripped executable says of itself.
type oracle struct {
	structs map[string]*dwarf.StructType
	types   map[string][]uint64 // addresses of the descriptors by the name of the type, ascending
	symbols map[string][]symbol // of functions and data, by name, in order of address
}

type symbol struct{ addr, size uint64 }

// attrGoRuntimeType is a type's attribute with the place of its descriptor, relative to the symbol runtime.types:
// https://github.com/golang/go/blob/go1.26.0/src/cmd/internal/dwarf/dwarf.go#L296
const attrGoRuntimeType dwarf.Attr = 0x2904

func readOracle(t *testing.T, path string, d declared) oracle {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	o := oracle{structs: map[string]*dwarf.StructType{}, types: map[string][]uint64{}, symbols: readSymbols(t, file)}
	data, err := file.DWARF()
	if err != nil {
		t.Fatal(err)
	}
	base := o.symbols["runtime.types"]
	if len(base) != 1 {
		t.Fatalf("%s has %d symbols runtime.types", path, len(base))
	}
	structs := d.structs()
	for reader := data.Reader(); ; {
		entry, err := reader.Next()
		if err != nil {
			t.Fatal(err)
		}
		if entry == nil {
			break
		}
		name, _ := entry.Val(dwarf.AttrName).(string)
		if offset := runtimeType(entry); offset != 0 && d.types[name] {
			o.types[name] = append(o.types[name], base[0].addr+offset)
		}
		if _, ok := slices.BinarySearch(structs, name); !ok || entry.Tag != dwarf.TagStructType {
			continue
		}
		typ, err := data.Type(entry.Offset)
		if err != nil {
			t.Fatal(err)
		}
		o.structs[name], _ = typ.(*dwarf.StructType)
	}
	for _, addrs := range o.types {
		slices.Sort(addrs)
	}
	return o
}

// runtimeType returns the attribute as it is encoded by one version or another, 0 if there is none.
func runtimeType(entry *dwarf.Entry) uint64 {
	switch v := entry.Val(attrGoRuntimeType).(type) {
	case uint64:
		return v
	case int64:
		return uint64(v)
	}
	return 0
}

func readSymbols(t *testing.T, file *elf.File) map[string][]symbol {
	t.Helper()
	table, err := file.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	symbols := map[string][]symbol{}
	for _, s := range table {
		// A function of the other calling convention has a suffix; see cmd/link/internal/ld/elf.go.
		name := strings.TrimSuffix(strings.TrimSuffix(s.Name, ".abi0"), ".abiinternal")
		name = strings.Replace(name, "go.itab.", "go:itab.", 1) // Go 1.18 and 1.19
		symbols[name] = append(symbols[name], symbol{s.Value, s.Size})
	}
	for _, list := range symbols {
		slices.SortFunc(list, func(a, b symbol) int { return int(int64(a.addr - b.addr)) })
	}
	return symbols
}

// functions returns the symbols of a function's name or pattern.
func (o oracle) functions(name string) []symbol {
	prefix, isPattern := strings.CutSuffix(name, "*")
	if !isPattern {
		return o.symbols[name]
	}
	var found []symbol
	for name, list := range o.symbols {
		if strings.HasPrefix(name, prefix) {
			found = append(found, list...)
		}
	}
	slices.SortFunc(found, func(a, b symbol) int { return int(int64(a.addr - b.addr)) })
	return found
}

// offset returns the offset of a field in bytes, false if DWARF does not have it.
func (o oracle) offset(f probes.Field) (int64, bool) {
	var at int64
	typ := o.structs[f.Type]
	for _, name := range strings.Split(f.Path, ".") {
		field, base := findField(typ, name)
		if field == nil {
			return 0, false
		}
		at += base + field.ByteOffset
		typ = structOf(field.Type)
	}
	return at, true
}

// findField looks in a struct and then in those that it embeds: DWARF names an embedded field as its type.
func findField(typ *dwarf.StructType, name string) (field *dwarf.StructField, base int64) {
	if typ == nil {
		return nil, 0
	}
	for _, f := range typ.Field {
		if f.Name == name {
			return f, 0
		}
	}
	for _, f := range typ.Field {
		inner := structOf(f.Type)
		if inner == nil || !strings.HasSuffix(inner.StructName, "."+f.Name) {
			continue
		}
		if found, at := findField(inner, name); found != nil {
			return found, f.ByteOffset + at
		}
	}
	return nil, 0
}

// structOf returns the struct that a type is, nil if it is none.
func structOf(t dwarf.Type) *dwarf.StructType {
	for {
		switch of := t.(type) {
		case *dwarf.TypedefType:
			t = of.Type
		case *dwarf.StructType:
			return of
		default:
			return nil
		}
	}
}
