package process

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Where FuzzOpen puts its bytes.
const (
	wholeFile = iota
	inHeaders
	inModuledata
	inTypes
	inFunctab
	inNames
	inRelocations
	regions
)

// slowest is the time on the CPU that one hostile file may cost in the fuzzer,
// whose instrumentation has its part in it. TestHostile is stricter.
const slowest = 5 * time.Second

// cpuTime returns what this process has used of the CPUs.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// FuzzOpen reads files made by others: either the given bytes alone, or a real
// executable with the bytes written over a part that matters. Whatever they
// are, the answer is a result or an error, in bounded time.
func FuzzOpen(f *testing.F) {
	path := buildFixture(f, stripped(buildSpec{Go: "1.26.8", PIE: true}))
	original, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	starts := regionOffsets(f, path)
	huge := bytes.Repeat([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, 8)
	for region := range uint8(regions) {
		f.Add(region, uint32(0), []byte{})
		f.Add(region, uint32(8), huge)
		f.Add(region, uint32(24), make([]byte, 64))
	}
	f.Add(uint8(wholeFile), uint32(0), original[:4096])
	f.Fuzz(func(t *testing.T, region uint8, offset uint32, patch []byte) {
		contents := patch
		if region %= regions; region != wholeFile {
			contents = bytes.Clone(original)
			start := (starts[region] + uint64(offset)) % uint64(len(contents))
			copy(contents[start:], patch)
		}
		path := filepath.Join(t.TempDir(), "executable")
		if err := os.WriteFile(path, contents, 0o600); err != nil {
			t.Fatal(err)
		}
		begin := cpuTime(t)
		exercise(path)
		if took := cpuTime(t) - begin; took > slowest {
			t.Errorf("the analysis took %v", took)
		}
	})
}

// MakePlans plans all probes for a binary. Package plan imports this one.
var MakePlans func(*Binary)

// exercise calls everything that reads the file.
func exercise(path string) {
	if err := analyse(path); err != nil {
		return
	}
	b, err := Open(path)
	if err != nil {
		return
	}
	defer b.Close()
	for _, functions := range b.Functions("runtime.*", "main.main") {
		for _, f := range functions[:min(len(functions), 16)] {
			exerciseCode(b, f)
			b.FunctionAt(f.Addr)
			b.FileOffset(f.Addr)
		}
	}
	b.InlinedOnly("main.inlined")
	b.Inlined("main.inlined", "sync.(*Mutex).Lock", "database/sql.(*DB).QueryContext", "database/sql.(*Tx).ExecContext")
	MakePlans(b)
	b.Map("main.Table")
	b.Field("main.Outer", "Next.Deep.C")
	for _, name := range []string{"string", "*main.problem", "main.Pair[string,int]"} {
		for _, addr := range b.TypeAddrs(name) {
			b.TypeName(addr)
			b.Bytes(addr, 48)
		}
	}
}

// exerciseCode looks for all points of a function.
func exerciseCode(b *Binary, f Function) {
	code, err := b.Code(f)
	if err != nil {
		return
	}
	c := Code{Arch: b.Arch, Addr: f.Addr, Bytes: code, NameAt: func(addr uint64) string {
		callee, _ := b.FunctionAt(addr)
		return callee.Name
	}}
	c.Calls()
	_, _ = c.Entry()
	_, _ = c.AfterCall("main.main", 9, 9)
	_, _ = c.BehindCalls("main.main", 9)
	_, _ = c.Returns(9)
}

// regionOffsets returns where in the file the regions of the fixture start.
func regionOffsets(t testing.TB, path string) map[uint8]uint64 {
	b := openBinary(t, path)
	addr, ok := moduledataAddr(b)
	if !ok {
		t.Fatal("the fixture's moduledata is not found")
	}
	word := func(position uint64) uint64 {
		value, _ := b.image.word(addr + position*wordSize)
		return value
	}
	offsets := map[uint8]uint64{inHeaders: 0}
	for region, addr := range map[uint8]uint64{
		inModuledata: addr,
		inTypes:      b.md.types,
		inFunctab:    word(wordFunctab),
		inNames:      word(wordFuncNames),
	} {
		s := b.image.segmentAt(addr)
		offsets[region] = s.offset + addr - s.addr
	}
	table := relaTable(b.image)
	offsets[inRelocations] = uint64(cap(b.image.data) - cap(b.image.data[bytes.Index(b.image.data, table[:64]):]))
	return offsets
}

// TestHostileSizes opens files whose headers promise more than they hold.
func TestHostileSizes(t *testing.T) {
	le := binary.LittleEndian
	header := func(segments uint16) []byte {
		h := make([]byte, 64+56*int(segments))
		copy(h, "\x7fELF\x02\x01\x01")
		le.PutUint16(h[16:], 3)  // ET_DYN
		le.PutUint16(h[18:], 62) // EM_X86_64
		le.PutUint64(h[32:], 64) // e_phoff
		le.PutUint16(h[54:], 56)
		le.PutUint16(h[56:], segments)
		for p := h[64:]; len(p) > 0; p = p[56:] {
			le.PutUint32(p, 1)     // PT_LOAD
			le.PutUint32(p[4:], 6) // read, write
		}
		return h
	}
	const sparse = 512 << 20
	for name, test := range map[string]struct {
		segments uint16
		filesize uint64
		size     int64
		want     error
	}{
		"one huge segment":      {1, sparse, sparse, ErrNotGo},
		"many huge segments":    {100, sparse, sparse, ErrNotELF},
		"segment past the end":  {1, sparse + 1, sparse, ErrTruncated},
		"length that overflows": {1, ^uint64(0), 4096, ErrTruncated},
		"file too large":        {1, 64, maxImage + 1, ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			contents := header(test.segments)
			for p := contents[64:]; len(p) > 0; p = p[56:] {
				le.PutUint64(p[32:], test.filesize)
			}
			path := writeFile(t, contents)
			if err := os.Truncate(path, test.size); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(path); !errors.Is(err, test.want) {
				t.Errorf("Open = %v, want %v", err, test.want)
			}
		})
	}
}

// TestRandomPatches is a short, repeatable run of what FuzzOpen does, with
// values that reach the limits more often than a fuzzer's first guesses.
func TestRandomPatches(t *testing.T) {
	path := buildFixture(t, stripped(buildSpec{Go: "1.27.4", PIE: true}))
	original, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	starts := regionOffsets(t, path)
	random := rand.New(rand.NewPCG(1, 2))
	words := []uint64{0, 1, 7, 8, 1 << 16, 1 << 31, 1 << 32, 1 << 62, ^uint64(0), ^uint64(7), starts[inTypes], starts[inModuledata]}
	runs := 60
	if !testing.Short() {
		runs = 300
	}
	for range runs {
		contents := bytes.Clone(original)
		region := 1 + uint8(random.IntN(regions-1))
		for range 1 + random.IntN(20) {
			at := starts[region] + 8*uint64(random.IntN(64))
			if random.IntN(4) == 0 {
				at += uint64(random.IntN(1 << 16))
			}
			binary.LittleEndian.PutUint64(contents[min(at, uint64(len(contents)-8)):], words[random.IntN(len(words))])
		}
		path := writeFile(t, contents)
		exercise(path)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
