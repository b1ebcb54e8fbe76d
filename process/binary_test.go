package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// rewriteFixture copies the default fixture, lets change edit the copy and
// returns its path.
func rewriteFixture(t testing.TB, change func(contents []byte)) string {
	t.Helper()
	contents, err := os.ReadFile(buildFixture(t, stripped(buildSpec{Go: "1.26.8"})))
	if err != nil {
		t.Fatal(err)
	}
	change(contents)
	return writeFile(t, contents)
}

func writeFile(t testing.TB, contents []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "executable")
	if err := os.WriteFile(path, contents, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpenDescribes(t *testing.T) {
	for _, spec := range []buildSpec{
		{Go: "1.18.10", Stripped: true},
		{Go: "1.26.8", PIE: true, Stripped: true},
		{Go: "1.27.4", Arch: "arm64", Stripped: true},
	} {
		b := openFixture(t, spec)
		want := &Binary{
			Path: b.Path, Arch: spec.Arch, PIE: spec.PIE, GoVersion: "go" + spec.Go,
			MainPackage: "example.com/webserver",
			Main:        Module{Path: "example.com/webserver", Version: "(devel)"},
		}
		if want.Arch == "" {
			want.Arch = runtime.GOARCH
		}
		if diff := cmp.Diff(want, b, cmpopts.IgnoreUnexported(Binary{}), cmpopts.IgnoreFields(Binary{}, "ID")); diff != "" {
			t.Errorf("%v (-want +got):\n%s", spec, diff)
		}
		info, err := os.Stat(b.Path)
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("go", "tool", "buildid", b.Path).Output()
		if err != nil {
			t.Fatal(err)
		}
		if id := strings.TrimSpace(string(out)); b.ID.BuildID != id || b.ID.Size != info.Size() || b.ID.ModTime != info.ModTime().UnixNano() || b.ID.Ino == 0 {
			t.Errorf("%v: ID = %+v, want build ID %s", spec, b.ID, id)
		}
	}
}

func TestOpenSelf(t *testing.T) {
	b := openBinary(t, "/proc/self/exe")
	if b.GoVersion != runtime.Version() {
		t.Errorf("GoVersion = %q, want %q", b.GoVersion, runtime.Version())
	}
	f, ok := b.FunctionAt(b.Functions("testing.tRunner")["testing.tRunner"][0].Addr)
	if !ok || f.Name != "testing.tRunner" {
		t.Errorf("FunctionAt(testing.tRunner) = %v, %v", f, ok)
	}
}

// TestReadOnly: the constants of a program are in one segment that it cannot write, whoever has linked it.
func TestReadOnly(t *testing.T) {
	const constant = "http: Server closed" // of net/http
	for _, spec := range []buildSpec{
		stripped(buildSpec{Go: "1.18.10"}),
		{Go: "1.27.4", PIE: true, Stripped: true},
		{Go: "1.26.8", Arch: "arm64", Stripped: true},
		{Go: "1.26.8", External: true, Stripped: true, LinkerFlags: "-extldflags=-fuse-ld=gold"},
		{Go: "1.26.8", External: true, Stripped: true, LinkerFlags: "-extldflags=-fuse-ld=lld"},
	} {
		b := openFixture(t, spec)
		addr, size := b.ReadOnly()
		contents, ok := b.Constant(addr, int(size))
		if at := bytes.Index(contents, []byte(constant)); !ok || at < 0 {
			t.Errorf("%v: %q is not among the %d bytes from %#x", spec, constant, size, addr)
		}
	}
}

// TestOpenStripped takes away what strip and sstrip take away.
func TestOpenStripped(t *testing.T) {
	for _, spec := range []buildSpec{{Go: "1.18.10"}, {Go: "1.26.8", PIE: true}, {Go: "1.27.4", PIE: true}} {
		contents, err := os.ReadFile(buildFixture(t, stripped(spec)))
		if err != nil {
			t.Fatal(err)
		}
		clear(contents[40:48]) // e_shoff
		clear(contents[58:64]) // e_shentsize, e_shnum, e_shstrndx
		b := openBinary(t, writeFile(t, contents))
		if got, err := b.Field("net/http.Request", "Method"); err != nil || got.Type != "string" {
			t.Errorf("%v without section headers: %v, %v", spec, got, err)
		}
		if b.GoVersion != "go"+spec.Go {
			t.Errorf("%v without section headers: GoVersion = %q", spec, b.GoVersion)
		}
	}
}

// TestOtherLinks opens what other linker options make of the same program.
func TestOtherLinks(t *testing.T) {
	for _, spec := range []buildSpec{
		{Go: "1.25.8", PIE: true, External: true, Stripped: true, LinkerFlags: "-extldflags=-Wl,-z,pack-relative-relocs"}, // DT_RELR
		{Go: "1.25.8", PIE: true, External: true, Stripped: true, LinkerFlags: "-extldflags=-static-pie"},
		{Go: "1.26.8", External: true, Stripped: true, LinkerFlags: "-extldflags=-fuse-ld=gold"},
		{Go: "1.26.8", PIE: true, External: true, Stripped: true, LinkerFlags: "-extldflags=-fuse-ld=gold"},
		{Go: "1.26.8", External: true, Stripped: true, LinkerFlags: "-extldflags=-fuse-ld=lld"},
		{Go: "1.25.8", PIE: true, External: true, Stripped: true, LinkerFlags: "-extldflags=-fuse-ld=lld"},
		{Go: "1.26.8", Mode: "c-shared", External: true, Stripped: true},
		{Go: "1.26.8", Stripped: true, LinkerFlags: "-buildid="},
	} {
		t.Run(spec.String(), func(t *testing.T) {
			b := openFixture(t, spec)
			if len(b.Functions("main.main")) == 0 {
				t.Error("no main.main")
			}
			got := map[string]string{}
			for typ, names := range map[string][]string{"net/http.Request": {"Method", "URL"}, "runtime.g": {"goid"}} {
				for _, name := range names {
					p, err := b.Field(typ, name)
					if err != nil {
						t.Error(err)
					}
					got[name] = fmt.Sprint(p.Offsets, p.Type)
				}
			}
			want := map[string]string{"Method": "[0]string", "URL": "[16]*net/url.URL", "goid": "[152]uint64"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, itab := range [][2]string{{"net/http.ResponseWriter", "*net/http.response"}, {"error", "*errors.errorString"}} {
				if len(b.Itabs(itab[0], itab[1])) == 0 {
					t.Errorf("no itab of %v", itab)
				}
			}
			if m, err := b.Map("net/http.Header"); err != nil || !m.Swiss || m.ElemStride != 40 {
				t.Errorf("Map = %+v, %v", m, err)
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	elfHeader := func(change func(header []byte)) []byte {
		contents, err := os.ReadFile(buildFixture(t, stripped(buildSpec{Go: "1.26.8"})))
		if err != nil {
			t.Fatal(err)
		}
		contents = contents[:4096]
		change(contents)
		return contents
	}
	for name, test := range map[string]struct {
		path string
		want error
	}{
		"absent":      {"/nonexistent/executable", os.ErrNotExist},
		"directory":   {t.TempDir(), ErrNotELF},
		"device":      {"/dev/zero", ErrNotELF},
		"empty":       {writeFile(t, nil), ErrNotELF},
		"short":       {writeFile(t, []byte("\x7fELF")), ErrNotELF},
		"script":      {writeFile(t, []byte("#!/bin/sh\n"+strings.Repeat("echo\n", 100))), ErrNotELF},
		"32-bit":      {writeFile(t, elfHeader(func(h []byte) { h[4] = 1 })), ErrUnsupported},
		"big endian":  {writeFile(t, elfHeader(func(h []byte) { h[5] = 2 })), ErrUnsupported},
		"riscv64":     {writeFile(t, elfHeader(func(h []byte) { h[18] = 243 })), ErrUnsupported},
		"object":      {writeFile(t, elfHeader(func(h []byte) { h[16] = 1 })), ErrUnsupported},
		"no segments": {writeFile(t, elfHeader(func(h []byte) { h[56] = 0 })), ErrNotELF},
		"not Go":      {"/bin/ls", ErrNotGo},
	} {
		b, err := Open(test.path)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: Open = %v, want %v", name, err, test.want)
		}
		if b != nil {
			b.Close()
		}
	}
}

// TestTruncatedWhileOpen shrinks a file under its mapping: reads must fail, not crash.
func TestTruncatedWhileOpen(t *testing.T) {
	path := rewriteFixture(t, func([]byte) {})
	b := openBinary(t, path)
	f := b.Functions("main.main")["main.main"][0]
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Field("net/http.Request", "Method"); !errors.Is(err, ErrTruncated) {
		t.Errorf("Field = %v", err)
	}
	if _, err := b.Code(f); !errors.Is(err, ErrTruncated) {
		t.Errorf("Code = %v", err)
	}
	if _, err := b.StructSize("net/http.Request"); !errors.Is(err, ErrTruncated) {
		t.Errorf("StructSize = %v", err)
	}
	if _, err := b.Map("net/http.Header"); !errors.Is(err, ErrTruncated) {
		t.Errorf("Map = %v", err)
	}
	got := []any{len(b.Functions("main.main")), b.InlinedOnly("main.main"), len(b.Itabs("error", "*errors.errorString")), len(b.TypeAddrs("string"))}
	if diff := cmp.Diff([]any{0, false, 0, 0}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, ok := b.FunctionAt(f.Addr); ok {
		t.Error("FunctionAt found a function")
	}
	if _, ok := b.TypeName(b.md.types + 64); ok {
		t.Error("TypeName found a type")
	}
	if _, ok := b.Bytes(f.Addr, 8); ok {
		t.Error("Bytes found something")
	}
}

func TestAfterClose(t *testing.T) {
	for _, indexed := range []bool{false, true} {
		b := openFixture(t, stripped(buildSpec{Go: "1.26.8"}))
		f := b.Functions("main.main")["main.main"][0]
		if indexed {
			b.TypeAddrs("main.Absent")
		}
		for range 2 {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := b.Field("net/http.Request", "Method"); !errors.Is(err, ErrNoType) {
			t.Errorf("Field = %v", err)
		}
		if _, err := b.Code(f); err == nil {
			t.Error("Code has no error")
		}
		if got := b.Functions("main.main"); len(got) != 0 {
			t.Errorf("Functions = %v", got)
		}
		if _, ok := b.FunctionAt(f.Addr); ok {
			t.Error("FunctionAt found a function")
		}
	}
}
