package process

import (
	"debug/elf"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/remora-agent/remora/internal/testenv"
)

// program is a compiled fixture; the ELF symbol table is the oracle for the names and sizes of its functions.
type program struct {
	arch  string
	text  []byte
	base  uint64
	names map[uint64]string
	funcs map[string]elf.Symbol
}

// buildServer builds testdata/server. A toolchain that is not in the module cache is fetched.
func buildServer(t testing.TB, version, arch string) *program {
	t.Helper()
	if testing.Short() && version != "1.26.8" {
		t.Skip("builds with another toolchain; run without -short")
	}
	path := testenv.Build(t, testenv.BuildSpec{Dir: "testdata/server", Go: version, Arch: arch})
	return readProgram(t, path, arch)
}

func readProgram(t testing.TB, path, arch string) *program {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text := f.Section(".text")
	p := &program{arch: arch, base: text.Addr, names: map[uint64]string{}, funcs: map[string]elf.Symbol{}}
	if p.text, err = text.Data(); err != nil {
		t.Fatal(err)
	}
	syms, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, sym := range syms {
		if elf.ST_TYPE(sym.Info) != elf.STT_FUNC || sym.Size == 0 || sym.Value-p.base+sym.Size > uint64(len(p.text)) {
			continue
		}
		p.names[sym.Value] = sym.Name
		p.funcs[sym.Name] = sym
	}
	return p
}

func (p *program) code(t testing.TB, name string) Code {
	t.Helper()
	sym, ok := p.funcs[name]
	if !ok {
		t.Fatalf("the fixture has no function %s", name)
	}
	off := sym.Value - p.base
	return Code{
		Arch:   p.arch,
		Addr:   sym.Value,
		Bytes:  p.text[off : off+sym.Size],
		NameAt: func(a uint64) string { return p.names[a] },
	}
}

// assembled makes a function at 0x1000 of lines "bytes in hex ; comment". The function at 0x2000 is named callee.
func assembled(t testing.TB, arch, text string) Code {
	t.Helper()
	c := Code{Arch: arch, Addr: 0x1000, NameAt: func(addr uint64) string {
		if addr == 0x2000 {
			return "callee"
		}
		return ""
	}}
	for line := range strings.Lines(text) {
		code, _, _ := strings.Cut(line, ";")
		b, err := hex.DecodeString(strings.Join(strings.Fields(code), ""))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		c.Bytes = append(c.Bytes, b...)
	}
	return c
}

func TestCalls(t *testing.T) {
	c := assembled(t, "amd64", `
		e8 fb 0f 00 00 ; 1000 CALL 0x2000
		ff d0          ; 1005 CALL AX
		e8 f4 1f 00 00 ; 1007 CALL 0x3000
		c3             ; 100c RET
		cc cc cc       ; padding`)
	want := []Call{{Addr: 0x1000, Return: 0x1005, Target: 0x2000, Name: "callee"}, {Addr: 0x1007, Return: 0x100c, Target: 0x3000}}
	if diff := cmp.Diff(want, c.Calls()); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsSayWhere(t *testing.T) {
	for _, tt := range []struct{ name, arch, code, want string }{
		{"nothing", "amd64", "cc", "decode function at 0x1000: no code"},
		{"cut off", "amd64", "c3 48", "find returns: decode function at 0x1000: at offset 0x1: 48: truncated instruction"},
		{"cut off", "arm64", "c0 03 5f d6 01", "find returns: decode function at 0x1000: at offset 0x4: 01: a part of an instruction"},
		{"architecture", "riscv64", "00", `decode function at 0x1000: architecture "riscv64" is not supported (amd64 and arm64 are)`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := assembled(t, tt.arch, tt.code).Returns(0)
			if err == nil || err.Error() != tt.want {
				t.Errorf("error is %v, want %s", err, tt.want)
			}
		})
	}
}

// check fails the test if a point breaks what holds for all points.
func check(t *testing.T, c Code, points ...Point) {
	t.Helper()
	l, err := c.list()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range points {
		i, ok := l.at(p.Addr)
		if !ok {
			t.Errorf("%#x: point %#x is not at the start of an instruction", c.Addr, p.Addr)
			continue
		}
		in := l.insns[i]
		off := p.Addr - c.Addr
		if string(p.Bytes) != string(c.Bytes[off:off+uint64(in.size)]) {
			t.Errorf("%#x: point %#x expects % x", c.Addr, p.Addr, p.Bytes)
		}
		if in.refused {
			t.Errorf("%#x: the kernel refuses point %#x (%s)", c.Addr, p.Addr, p.Asm)
		}
		if p.When != Always && (!in.flags || in.cc != p.CC) {
			t.Errorf("%#x: point %#x (%s) is not a branch with condition %d", c.Addr, p.Addr, p.Asm, p.CC)
		}
		if p.SPDelta%8 != 0 || p.Why == "" {
			t.Errorf("%#x: point %#x has SPDelta %d, Why %q", c.Addr, p.Addr, p.SPDelta, p.Why)
		}
	}
}

func FuzzCode(f *testing.F) {
	f.Add(true, []byte{0x49, 0x3b, 0x66, 0x10, 0x76, 0x0f, 0x55, 0xc3})
	f.Add(false, []byte{0x90, 0x0b, 0x40, 0xf9, 0xff, 0x63, 0x30, 0xeb, 0xc0, 0x03, 0x5f, 0xd6})
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 64 {
		b := make([]byte, 8*n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(n%2 == 0, b)
	}
	f.Fuzz(func(t *testing.T, amd64 bool, b []byte) {
		c := Code{Arch: "arm64", Addr: 0x1000, Bytes: b, NameAt: func(uint64) string { return "f" }}
		if amd64 {
			c.Arch = "amd64"
		}
		c.Calls()
		c.Entry()
		c.AfterCall("f", 9, 9)
		c.Returns(9)
	})
}
