package process

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// comparedFields are fields of all kinds, in all versions of Go together. Those that probes read are compared by test/matrix.
var comparedFields = map[string][]string{
	"net/http.Request":            {"Method", "URL", "Header", "Pattern", "ctx"},
	"runtime.g":                   {"goid", "parentGoid", "_panic", "m", "stackguard0"},
	"runtime._panic":              {"arg", "goexit", "link"},
	"runtime.hmap":                {"count", "B", "buckets", "oldbuckets"},
	"internal/runtime/maps.Map":   {"used", "dirPtr", "dirLen"},
	"internal/runtime/maps.table": {"groups", "used"},
	"main.Outer":                  {"X", "Inner", "Deep", "Next"},
	"main.Inner":                  {"A", "B"},
	"main.Deep":                   {"Pad", "C"},
}

// layoutSpecs are the builds whose layouts are compared with DWARF: every
// version plain, and the versions at which tables changed in other forms too.
func layoutSpecs() []buildSpec {
	var specs []buildSpec
	for _, version := range goVersions() {
		specs = append(specs, buildSpec{Go: version})
	}
	for _, version := range []string{"1.18.10", "1.26.8", "1.27.4"} {
		specs = append(specs,
			buildSpec{Go: version, PIE: true},
			buildSpec{Go: version, Arch: "arm64"},
			buildSpec{Go: version, Arch: "arm64", PIE: true})
	}
	if testing.Short() {
		return specs
	}
	specs = append(specs,
		buildSpec{Go: "1.24.13", Experiment: "noswissmap"},
		buildSpec{Go: "1.27.4", Experiment: "mapsplitgroup"})
	for _, version := range []string{"1.18.10", "1.25.8", "1.27.4"} {
		specs = append(specs, buildSpec{Go: version, External: true}, buildSpec{Go: version, PIE: true, External: true})
	}
	return specs
}

func TestFieldsEqualDWARF(t *testing.T) {
	for _, spec := range layoutSpecs() {
		t.Run(spec.String(), func(t *testing.T) {
			path := buildFixture(t, spec)
			var names []string
			for name := range comparedFields {
				names = append(names, name)
			}
			oracle := readDWARF(t, path, names...)
			want := layoutsOf(func(typ, name string) (uint64, uint64, bool) { return oracle.field(typ, name) })
			if want["net/http.Request.Method"] == "" {
				t.Fatal("the fixture has no debug information")
			}
			for _, variant := range []string{path, buildFixture(t, stripped(spec))} {
				b := openBinary(t, variant)
				got := layoutsOf(func(typ, name string) (uint64, uint64, bool) {
					p, err := b.Field(typ, name)
					offset, inline := p.Inline()
					return offset, p.Size, err == nil && inline
				})
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: layouts differ (-DWARF +Field):\n%s", variant, diff)
				}
				for name, s := range oracle {
					if size, err := b.StructSize(name); err != nil || size != uint64(s.ByteSize) {
						t.Errorf("StructSize(%q) = %d, %v; DWARF has %d", name, size, err, s.ByteSize)
					}
				}
			}
		})
	}
}

// layoutsOf lists the compared fields that lookup finds with offset and size.
func layoutsOf(lookup func(typ, name string) (offset, size uint64, ok bool)) map[string]string {
	layouts := map[string]string{}
	for typ, names := range comparedFields {
		for _, name := range names {
			if offset, size, ok := lookup(typ, name); ok {
				layouts[typ+"."+name] = fmt.Sprintf("offset %d size %d", offset, size)
			}
		}
	}
	return layouts
}

func TestFieldPaths(t *testing.T) {
	for _, version := range []string{"1.18.10", "1.26.8", "1.27.4"} {
		t.Run(version, func(t *testing.T) {
			b := openFixture(t, stripped(buildSpec{Go: version}))
			for _, test := range []struct {
				typ, path string
				want      Path
			}{
				{"main.Outer", "X", Path{[]uint64{0}, 1, "uint8"}},
				{"main.Outer", "Inner", Path{[]uint64{8}, 24, "main.Inner"}},
				{"main.Outer", "Inner.B", Path{[]uint64{16}, 16, "string"}},
				{"main.Outer", "A", Path{[]uint64{8}, 4, "int32"}},
				{"main.Outer", "Pad", Path{[]uint64{32, 0}, 24, "[3]uint64"}},
				{"main.Outer", "C", Path{[]uint64{32, 24}, 8, "map[int32]string"}},
				{"main.Outer", "Next.Next.B", Path{[]uint64{40, 40, 16}, 16, "string"}},
				{"main.Outer", "Next.Deep.C", Path{[]uint64{40, 32, 24}, 8, "map[int32]string"}},
				{"main.Pair[string,int]", "Value", Path{[]uint64{16}, 8, "int"}},
				{"main.Pair[int,*main.Outer]", "Value.A", Path{[]uint64{8, 8}, 4, "int32"}},
				{"*main.Outer", "A", Path{[]uint64{0, 8}, 4, "int32"}},
				{"net/http.response", "req", Path{[]uint64{8}, 8, "*net/http.Request"}},
				{"net/http.Request", "Header", Path{[]uint64{56}, 8, "net/http.Header"}},
			} {
				got, err := b.Field(test.typ, test.path)
				if err != nil {
					t.Error(err)
				} else if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("Field(%q, %q) (-want +got):\n%s", test.typ, test.path, diff)
				}
			}
		})
	}
}

func TestFieldErrors(t *testing.T) {
	b := openFixture(t, stripped(buildSpec{Go: "1.26.8"}))
	for _, test := range []struct {
		typ, path string
		want      error
	}{
		{"main.Absent", "A", ErrNoType},
		{"example.com/absent.T", "A", ErrNoType},
		{"", "", ErrNoType},
		{"*", "A", ErrNoType},
		{"main.Outer", "Absent", ErrNoField},
		{"main.Outer", "", ErrNoField},
		{"main.Outer", "X.Y", ErrNoField},
		{"main.Outer", "C.Y", ErrNoField},
		{"net/http.Request", "url", ErrNoField},
	} {
		if p, err := b.Field(test.typ, test.path); !errors.Is(err, test.want) {
			t.Errorf("Field(%q, %q) = %v, %v; want %v", test.typ, test.path, p, err, test.want)
		}
	}
	if _, ok := (Path{}).Inline(); ok {
		t.Error("an empty path is inline")
	}
}
