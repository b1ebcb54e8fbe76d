package process

import (
	"debug/elf"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestItabsEqualSymbols(t *testing.T) {
	for _, spec := range layoutSpecs() {
		if spec.Go == "1.27.4" {
			continue // has no symbols for itabs; see TestItabsHoldMethods
		}
		t.Run(spec.String(), func(t *testing.T) {
			path := buildFixture(t, spec)
			b := openBinary(t, path)
			compared := 0
			for symbol, want := range symbols(t, path, elf.STT_OBJECT) {
				name, ok := strings.CutPrefix(strings.Replace(symbol, "go.itab.", "go:itab.", 1), "go:itab.")
				if !ok || strings.ContainsAny(name, "[{(") || localType.MatchString(name) {
					continue
				}
				concrete, iface, _ := strings.Cut(name, ",")
				if got := b.Itabs(iface, concrete); !slices.Equal(got, want) {
					t.Errorf("Itabs(%q, %q) = %#x, the symbols say %#x", iface, concrete, got, want)
				}
				compared++
			}
			if compared < 50 {
				t.Errorf("only %d itabs were compared", compared)
			}
		})
	}
}

// localType matches the linker's name of a type declared within a function.
var localType = regexp.MustCompile(`\.\d+(,|$)`)

// TestItabsHoldMethods checks each itab of error by the method it points to.
func TestItabsHoldMethods(t *testing.T) {
	for _, spec := range layoutSpecs() {
		t.Run(spec.String(), func(t *testing.T) {
			b := openFixture(t, stripped(spec))
			count := 0
			var end uint64
			for itab := range b.itabs() {
				end = itab.addr + b.itabSize(itab)
				if name, _ := b.TypeName(itab.iface); name != "error" {
					continue
				}
				count++
				concrete, _ := b.TypeName(itab.concrete)
				if addrs := b.Itabs("error", concrete); !slices.Contains(addrs, itab.addr) {
					t.Errorf("Itabs(error, %q) = %#x, without %#x", concrete, addrs, itab.addr)
				}
				method, _ := b.image.word(itab.addr + 24)
				f, _ := b.FunctionAt(method)
				if f.Name == "runtime.unreachableMethod" {
					continue // the linker dropped the method
				}
				if !strings.HasSuffix(f.Name, "Error") || !strings.Contains(f.Name, shortName(concrete)) {
					t.Errorf("the itab of error and %s points to %v", concrete, f)
				}
			}
			if count < 20 {
				t.Errorf("only %d itabs of error", count)
			}
			if b.md.eitabs != 0 && end != b.md.eitabs {
				t.Errorf("the itabs end at %#x, the moduledata says %#x", end, b.md.eitabs)
			}
			if got := b.Itabs("net/http.ResponseWriter", "*net/http.response"); len(got) != 1 {
				t.Errorf("itabs of *net/http.response: %#x", got)
			}
			if got := b.Itabs("net/http.Absent", "*net/http.response"); got != nil {
				t.Errorf("itabs of an absent interface: %#x", got)
			}
		})
	}
}
