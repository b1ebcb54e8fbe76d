package process

import (
	"debug/dwarf"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// inlinedCode is what debug information says of the code of a function that was inlined in another.
type inlinedCode struct{ name, in string }

// readInlined returns the code of all functions of a package that were inlined, as the executable's debug information has it.
func readInlined(t *testing.T, path, pkg string) map[inlinedCode][]extent {
	t.Helper()
	data := openDWARF(t, path)
	names := map[dwarf.Offset]string{}
	eachEntry(t, data, func(e *dwarf.Entry) {
		if name, ok := e.Val(dwarf.AttrName).(string); ok && e.Tag == dwarf.TagSubprogram {
			names[e.Offset] = name
		}
	})
	found, in := map[inlinedCode][]extent{}, ""
	eachEntry(t, data, func(e *dwarf.Entry) {
		origin, _ := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset)
		if e.Tag == dwarf.TagSubprogram {
			name, _ := e.Val(dwarf.AttrName).(string)
			in = name + names[origin]
		}
		if name := names[origin]; e.Tag == dwarf.TagInlinedSubroutine && strings.HasPrefix(name, pkg+".") {
			ranges, err := data.Ranges(e)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range ranges {
				found[inlinedCode{name, in}] = append(found[inlinedCode{name, in}], extent{r[0], r[1]})
			}
		}
	})
	return found
}

// TestInlined compares with debug information, in every version: what is inlined where, and each instruction of it.
func TestInlined(t *testing.T) {
	specs := []buildSpec{{Go: "1.27.4", Arch: "arm64"}, {Go: "1.27.4", PIE: true}}
	for _, version := range goVersions() {
		if version > "1.2" { // knows nothing of older ones
			specs = append(specs, buildSpec{Go: version})
		}
	}
	for _, spec := range specs {
		t.Run(spec.String(), func(t *testing.T) {
			path := buildFixture(t, spec)
			code := readInlined(t, path, "net/http")
			want := map[string]bool{}
			var names []string
			for c := range code {
				want[fmt.Sprint(c)] = true
				if !slices.Contains(names, c.name) {
					names = append(names, c.name)
				}
			}
			if len(want) < 100 {
				t.Fatalf("debug information knows of %d only", len(want))
			}
			got := map[string]bool{}
			for name, all := range openBinary(t, path).Inlined(names...) {
				for _, in := range all {
					c := inlinedCode{name, in.In.Name}
					if got[fmt.Sprint(c)] = true; !want[fmt.Sprint(c)] {
						continue
					}
					for _, e := range code[c] {
						for addr := e.start; addr < e.end; addr++ {
							if !in.Holds(addr) {
								t.Fatalf("%v: %#x does not belong to it, of [%#x, %#x)", c, addr, e.start, e.end)
							}
						}
					}
					for _, e := range in.code {
						if !slices.ContainsFunc(code[c], func(w extent) bool { return e.start >= w.start && e.start < w.end }) {
							t.Errorf("%v: %#x belongs to it, but not by debug information", c, e.start)
						}
					}
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("inlined (-debug information +got):\n%s", diff)
			}
		})
	}
}
