package process

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// symbols returns the addresses of an executable's symbols of one type by name.
func symbols(t testing.TB, path string, kind elf.SymType) map[string][]uint64 {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	table, err := file.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	addrs := map[string][]uint64{}
	for _, s := range table {
		if elf.ST_TYPE(s.Info) == kind {
			addrs[s.Name] = append(addrs[s.Name], s.Value)
		}
	}
	return addrs
}

// symbolName maps a symbol to its function's name: the linker marks functions
// of the other calling convention with a suffix.
func symbolName(s string) string {
	s, _ = strings.CutSuffix(s, ".abi0")
	s, _ = strings.CutSuffix(s, ".abiinternal")
	return s
}

func TestFunctionsEqualSymbols(t *testing.T) {
	for _, spec := range layoutSpecs() {
		t.Run(spec.String(), func(t *testing.T) {
			path := buildFixture(t, spec)
			want := map[string][]uint64{}
			for name, addrs := range symbols(t, path, elf.STT_FUNC) {
				name = symbolName(name)
				if strings.HasPrefix(name, "net/http.") || strings.HasPrefix(name, "main.") && !strings.ContainsAny(name, "[") {
					want[name] = append(want[name], addrs...)
				}
			}
			if len(want) < 100 {
				t.Fatalf("the fixture has only %d symbols", len(want))
			}
			var names []string
			for name, addrs := range want {
				slices.Sort(addrs)
				names = append(names, name)
			}
			b := openBinary(t, path)
			got := map[string][]uint64{}
			for name, functions := range b.Functions(names...) {
				for _, f := range functions {
					got[name] = append(got[name], f.Addr)
					if at, ok := b.FunctionAt(f.Addr + f.Size - 1); !ok || at != f {
						t.Errorf("FunctionAt the end of %v = %v, %v", f, at, ok)
					}
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("functions differ (-symbols +Functions):\n%s", diff)
			}
		})
	}
}

func TestFunctionPatterns(t *testing.T) {
	spec := buildSpec{Go: "1.26.8"}
	b := openFixture(t, stripped(spec))
	const pattern = "net/http.(*Server).Se*"
	found := b.Functions(pattern, pattern, "main.main", "main.absent", "*", "")
	if n := len(found["*"]); n < 1000 {
		t.Errorf(`"*" matches only %d functions`, n)
	}
	delete(found, "*")
	names := map[string][]string{}
	for key, functions := range found {
		for _, f := range functions {
			names[key] = append(names[key], f.Name)
		}
	}
	want := map[string][]string{"main.main": {"main.main"}}
	for name := range symbols(t, buildFixture(t, spec), elf.STT_FUNC) {
		if strings.HasPrefix(name, strings.TrimSuffix(pattern, "*")) {
			want[pattern] = append(want[pattern], name)
		}
	}
	slices.Sort(want[pattern])
	for _, l := range names {
		slices.Sort(l)
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !slices.IsSortedFunc(found[pattern], func(a, b Function) int { return int(a.Addr) - int(b.Addr) }) {
		t.Error("the functions are not in order of address")
	}
}

func TestFunctionAtOutside(t *testing.T) {
	b := openFixture(t, stripped(buildSpec{Go: "1.26.8"}))
	for _, addr := range []uint64{0, b.md.text - 1, b.md.etext, ^uint64(0)} {
		if f, ok := b.FunctionAt(addr); ok {
			t.Errorf("FunctionAt(%#x) = %v", addr, f)
		}
	}
}

func TestInlinedOnly(t *testing.T) {
	b := openFixture(t, stripped(buildSpec{Go: "1.27.4"}))
	for name, want := range map[string]bool{
		"main.inlined":             true,
		"net/http.(*Client).Do":    true,
		"main.main":                false,
		"main.absent":              false,
		"net/http.(*conn).serve":   false,
		"":                         false,
		"in.inlined":               false,
		"net/http.(*conn).serve.f": false,
	} {
		if got := b.InlinedOnly(name); got != want {
			t.Errorf("InlinedOnly(%q) = %v", name, got)
		}
	}
}

func TestCodeAndFileOffset(t *testing.T) {
	for _, spec := range []buildSpec{{Go: "1.26.8"}, {Go: "1.26.8", PIE: true}} {
		path := buildFixture(t, spec)
		b := openBinary(t, path)
		f := b.Functions("main.fail")["main.fail"][0]
		code, err := b.Code(f)
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		offset, ok := b.FileOffset(f.Addr)
		if !ok || !bytes.Equal(code, file[offset:offset+f.Size]) {
			t.Errorf("%v: the code of %v is not at file offset %#x", spec, f, offset)
		}
		if contents, ok := b.Bytes(f.Addr, len(code)); !ok || !bytes.Equal(contents, code) {
			t.Errorf("%v: Bytes differ from Code", spec)
		}
		if offset, ok := b.FileOffset(b.md.types); ok {
			t.Errorf("%v: types have the code offset %#x", spec, offset)
		}
		for _, wrong := range []Function{{}, {"x", b.md.types, 8}, {"x", f.Addr, 1 << 40}, {"x", ^uint64(0), 8}} {
			if code, err := b.Code(wrong); err == nil {
				t.Errorf("%v: Code(%v) has %d bytes", spec, wrong, len(code))
			}
		}
		if _, ok := b.Bytes(f.Addr, -1); ok {
			t.Error("Bytes of a negative length")
		}
	}
}

func TestGo117IsUnsupported(t *testing.T) {
	path := rewriteFixture(t, func(contents []byte) {
		magic := []byte{0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8}
		for at := bytes.Index(contents, magic); at >= 0; at = bytes.Index(contents, magic) {
			contents[at] = 0xfa
		}
	})
	if _, err := Open(path); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "1.17") {
		t.Errorf("Open = %v", err)
	}
}

func TestGarbled(t *testing.T) {
	path := rewriteFixture(t, func(contents []byte) {
		magic := []byte{0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8}
		for at := bytes.Index(contents, magic); at >= 0; at = bytes.Index(contents, magic) {
			contents[at] = 0x11
		}
	})
	if _, err := Open(path); !errors.Is(err, ErrGarbled) || !strings.Contains(err.Error(), "go1.26.8") {
		t.Errorf("Open with another magic number = %v", err)
	}
	path = rewriteFixture(t, func(contents []byte) {
		name := []byte("\x00runtime.mallocgc\x00")
		copy(contents[bytes.Index(contents, name):], "\x00a1b2c3d4e5f60718\x00")
	})
	if _, err := Open(path); !errors.Is(err, ErrGarbled) {
		t.Errorf("Open with other names = %v", err)
	}
}
