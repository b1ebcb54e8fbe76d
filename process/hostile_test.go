package process

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// What one hostile file may cost: seconds on the CPU, and bytes of memory at the peak.
const (
	hostileCPU    = 2
	hostileMemory = 256 << 20
)

// hostileVariable names the file that a child of TestHostile analyses.
const hostileVariable = "REMORA_TEST_HOSTILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(hostileVariable); path != "" {
		if err := analyseLimited(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// analyseLimited reads everything there is to read of a file; the kernel ends the process when that takes too long.
func analyseLimited(path string) error {
	limit := syscall.Rlimit{Cur: hostileCPU, Max: hostileCPU}
	const cpu = 0 // RLIMIT_CPU, which package syscall has no name for on all architectures
	if err := syscall.Setrlimit(cpu, &limit); err != nil {
		return fmt.Errorf("limit the CPU time: %w", err)
	}
	exercise(path)
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	var kilobytes int
	if _, err := fmt.Sscan(peak, &kilobytes); err != nil {
		return fmt.Errorf("read the peak of memory: %w", err)
	}
	if kilobytes > hostileMemory>>10 {
		return fmt.Errorf("the peak of memory is %d KB", kilobytes)
	}
	return nil
}

// TestHostile analyses forged files, each in a process of its own with the limits that a hostile file must not exceed.
func TestHostile(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, forge := range map[string]func(*forgery){
		"untouched":                func(*forgery) {},
		"65535 sections":           manySections,
		"struct in itself":         cyclicStruct,
		"pointer to itself":        cyclicPointer,
		"deep embedding":           deepEmbedding,
		"all types large structs":  largeStructs,
		"all types one type":       oneType,
		"itabs without end":        manyItabs,
		"moduledatas that fit not": manyModuledatas,
		"function tables":          manyPclntabs,
		"functions of one name":    oneName,
		"huge function of RET":     func(f *forgery) { f.hugeFunction(0xc3) },
		"huge function of PUSH":    func(f *forgery) { f.hugeFunction(0x50) },
		"huge function of JMP":     func(f *forgery) { f.hugeFunction(0xeb, 0x7f) },
		"huge function of JNE RET": func(f *forgery) { f.hugeFunction(0x75, 0x00, 0xc3) },
		"relocations in disorder":  manyRelocations,
		"inlined calls":            func(f *forgery) { f.manyInlined(1<<20, 1, func(uint32) uint32 { return ^uint32(0) }) },
		"inlined in each other":    func(f *forgery) { f.manyInlined(1<<20, 1, func(call uint32) uint32 { return call - 1 }) },
		"inlined in large code":    func(f *forgery) { f.manyInlined(maxListing, maxListing/16, func(uint32) uint32 { return ^uint32(0) }) },
		"inlined in small code":    func(f *forgery) { f.manyInlined(16, 1, func(uint32) uint32 { return ^uint32(0) }) },
		"sparse, 1 GB":             func(f *forgery) { f.size = 1 << 30 },
	} {
		t.Run(name, func(t *testing.T) {
			f := newForgery(t)
			forge(f)
			path := f.write()
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), hostileVariable+"="+path)
			out, err := cmd.CombinedOutput()
			t.Logf("%v on the CPU", cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
			if err != nil {
				t.Errorf("the analysis ended with %v: %s", err, out[:min(len(out), 2000)])
			}
		})
	}
}

// forgery is a real executable that is to be changed. It is not position-independent, so that words are what they say.
type forgery struct {
	testing.TB
	*Binary
	contents   []byte
	size       int64 // of the file, if more than the contents
	moduledata uint64
}

func newForgery(t testing.TB) *forgery {
	path := buildFixture(t, stripped(buildSpec{Go: "1.26.8"}))
	contents, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := &forgery{TB: t, Binary: openBinary(t, path), contents: contents}
	var ok bool
	if f.moduledata, ok = moduledataAddr(f.Binary); !ok {
		t.Fatal("the fixture's moduledata is not found")
	}
	return f
}

func (f *forgery) write() string {
	path := filepath.Join(f.TempDir(), "executable")
	if err := os.WriteFile(path, f.contents, 0o600); err != nil {
		f.Fatal(err)
	}
	if f.size > int64(len(f.contents)) {
		if err := os.Truncate(path, f.size); err != nil {
			f.Fatal(err)
		}
	}
	return path
}

// at returns the contents from an address to the end of its segment.
func (f *forgery) at(addr uint64) []byte {
	f.Helper()
	s := f.image.segmentAt(addr)
	if s == nil {
		f.Fatalf("the fixture has nothing at %#x", addr)
	}
	return f.contents[s.offset+addr-s.addr:][:s.end()-addr]
}

func (f *forgery) put(addr uint64, words ...uint64) {
	f.Helper()
	for i, w := range words {
		binary.LittleEndian.PutUint64(f.at(addr+uint64(i)*wordSize), w)
	}
}

// typ returns the descriptor of a type of the fixture.
func (f *forgery) typ(name string) descriptor {
	f.Helper()
	d, ok := f.typeNamed(name)
	if !ok {
		f.Fatalf("the fixture has no type %s", name)
	}
	return d
}

// fieldsAt returns the address of the fields of a struct type.
func (f *forgery) fieldsAt(d descriptor) uint64 {
	addr, _ := f.image.word(d.addr + structFields)
	return addr
}

func manySections(f *forgery) {
	le := binary.LittleEndian
	le.PutUint64(f.contents[40:], 64) // e_shoff: the program headers, again and again
	le.PutUint16(f.contents[58:], 64)
	le.PutUint16(f.contents[60:], 65535)
	le.PutUint16(f.contents[62:], 1)
}

// cyclicStruct makes all fields of a struct embedded ones, of its own type.
func cyclicStruct(f *forgery) {
	d := f.typ("main.Outer")
	embedded, _ := f.image.word(f.fieldsAt(d) + fieldSize) // the name of the field Inner
	for i := range uint64(4) {
		f.put(f.fieldsAt(d)+i*fieldSize, embedded, d.addr, 0)
	}
}

// cyclicPointer makes pointers, and a slice, point to themselves.
func cyclicPointer(f *forgery) {
	for _, name := range []string{"*main.Outer", "*net/http.Request", "*main.problem", "*runtime.g"} {
		d := f.typ(name)
		f.put(d.addr+descriptorSize, d.addr)
	}
}

// deepEmbedding makes structs embed each other, each all others.
func deepEmbedding(f *forgery) {
	var all []descriptor
	for _, name := range []string{"main.Outer", "net/http.Request", "net/http.Server", "net/http.Response", "net/http.Transport"} {
		all = append(all, f.typ(name))
	}
	embedded, _ := f.image.word(f.fieldsAt(all[0]) + fieldSize)
	for _, d := range all {
		_, count, _ := f.image.slice(d.addr + structFields)
		for i := range count {
			f.put(f.fieldsAt(d)+i*fieldSize, embedded, all[i%uint64(len(all))].addr, 0)
		}
	}
}

// largeStructs fills the types with structs of the most fields there may be, all of which are the first of them.
func largeStructs(f *forgery) {
	const every = 128
	model := bytes.Clone(f.at(f.typ("main.Outer").addr)[:80])
	binary.LittleEndian.PutUint64(model[structFields:], f.md.text&^7)
	binary.LittleEndian.PutUint64(model[structFields+8:], maxFields)
	binary.LittleEndian.PutUint64(model[structFields+16:], maxFields)
	start := (f.md.types + every - 1) &^ (every - 1)
	count := uint32(0)
	strings := f.md.types + uint64(f.typ("main.Outer").str)
	for addr := start; addr+every < f.md.etypes; addr += every {
		if strings < addr+every && addr < strings+every {
			continue // the name
		}
		copy(f.at(addr), model)
		count++
	}
	links, n, _ := f.image.slice(f.moduledata + 45*wordSize)
	for i := range n {
		offset := uint32(start-f.md.types) + every*(uint32(i)%count)
		binary.LittleEndian.PutUint32(f.at(links+typelinkSize*i), offset)
	}
	for i := range uint64(maxFields) { // in the code, which is as good as any place
		f.put(f.md.text&^7+i*fieldSize, strings, start+every*(i%uint64(count)), 0)
	}
}

// oneType makes all types the same.
func oneType(f *forgery) {
	d := f.typ("main.Outer")
	links, n, _ := f.image.slice(f.moduledata + 45*wordSize)
	for i := range n {
		binary.LittleEndian.PutUint32(f.at(links+typelinkSize*i), uint32(d.addr-f.md.types))
	}
}

// manyItabs makes the list of itabs as long as the segment, all of it the same one.
func manyItabs(f *forgery) {
	itab, _ := f.image.word(f.md.itablinks)
	start := f.md.text &^ 7
	n := min(uint64(len(f.at(start)))/wordSize, maxItabs)
	f.put(f.moduledata+48*wordSize, start, n, n)
	for i := range n {
		f.put(start+i*wordSize, itab)
	}
}

// manyModuledatas fills the data with fronts of moduledatas whose rest no layout fits, instead of the true one.
func manyModuledatas(f *forgery) {
	front := bytes.Clone(f.at(f.moduledata)[:wordsShared*wordSize])
	f.put(f.image.sections[".go.module"], 0)
	for i := range f.image.segments {
		s := &f.image.segments[i]
		if !s.writable() {
			continue
		}
		for data := f.at(s.addr); len(data) > len(front)+16; data = data[len(front)+16:] {
			copy(data, front)
			binary.LittleEndian.PutUint64(data[len(front):], f.md.types)
			binary.LittleEndian.PutUint64(data[len(front)+8:], f.md.etypes)
		}
	}
}

// manyPclntabs fills the data with headers of function tables, which point to each other.
func manyPclntabs(f *forgery) {
	header, _ := f.image.word(f.moduledata)
	magic, _ := f.image.word(header)
	clear(f.contents[40:48]) // no section says which is the true one
	for i := range f.image.segments {
		s := &f.image.segments[i]
		if s.executable() {
			continue
		}
		for addr := (s.addr + 15) &^ 15; addr+16 < s.end(); addr += 16 {
			f.put(addr, magic, s.addr)
		}
	}
}

// oneName gives all functions the name main.main.
func oneName(f *forgery) {
	name := uint32(bytes.Index(f.md.funcNames, []byte("\x00main.main\x00")) + 1)
	records, _, _ := f.image.slice(f.moduledata + wordFunctions*wordSize)
	for i := range f.md.functionCount() {
		record := uint64(binary.LittleEndian.Uint32(f.md.functab[i*functabEntry+4:]))
		binary.LittleEndian.PutUint32(f.at(records + record)[4:], name)
	}
}

// hugeFunction makes main.main a function of all code behind the start, of a repeated pattern.
func (f *forgery) hugeFunction(pattern ...byte) {
	oneName(f)
	code := f.at(f.md.text)
	for len(code) >= len(pattern) {
		code = code[copy(code, pattern):]
	}
	functab, n, _ := f.image.slice(f.moduledata + wordFunctab*wordSize)
	for i := range n {
		start := uint32(0)
		if i > 0 {
			start = uint32(min(f.md.etext-f.md.text, maxListing))
		}
		binary.LittleEndian.PutUint32(f.at(functab+i*functabEntry), start)
	}
}

// manyInlined gives all functions, every other one of which has size bytes, the same table of inlined calls, as long as there may be, for span bytes each.
// Each call has a name of its own that is spelled as every other one's, and is inlined in what parent says is the code there.
func (f *forgery) manyInlined(size uint32, span uint64, parent func(call uint32) uint32) {
	le := binary.LittleEndian
	const first, both = len("database/sql.(*DB).QueryContext\x00"), "database/sql.(*DB).QueryContext\x00database/sql.(*Tx).ExecContext\x00"
	names := append(bytes.Repeat([]byte(both), maxInlinedCalls/2), "runtime.mallocgc\x00main.large\x00"...)
	table := []byte{0} // the first has no number
	for at := range maxInlineEntries {
		change := byte(2) // one up
		if at >= maxInlinedCalls {
			change = byte(1 + at%2) // down, up
		}
		table = binary.AppendUvarint(append(table, change), span)
	}
	var calls []byte
	for i := range uint32(maxInlinedCalls) {
		name := i/2*uint32(len(both)) + i%2*uint32(first)
		calls = le.AppendUint32(append(calls, 0, 0, 0, 0), name)
		calls = le.AppendUint32(le.AppendUint32(calls, parent(i)), 0)
	}
	f.extend(slices.Concat(names, table, calls), elf.PT_LOAD)
	f.put(f.moduledata+wordFuncNames*wordSize, extended, uint64(len(names)), uint64(len(names)))
	f.put(f.moduledata+wordPCTable*wordSize, extended+uint64(len(names)), uint64(len(table)), uint64(len(table)))
	f.put(f.moduledata+40*wordSize, extended+uint64(len(names)+len(table)))
	records, _, _ := f.image.slice(f.moduledata + wordFunctions*wordSize)
	functab, n, _ := f.image.slice(f.moduledata + wordFunctab*wordSize)
	record := le.Uint32(f.at(functab + 4))
	head := f.at(records + uint64(record))
	clear(head[:funcRecordSize])
	le.PutUint32(head[4:], uint32(len(names)-len("main.large\x00")))
	head[funcTables], head[funcDataCount] = tableInlined+1, dataInlined+1
	le.PutUint32(head[funcRecordSize+4*tableInlined:], 1)
	le.PutUint32(head[funcRecordSize+4*(tableInlined+1+dataInlined):], 0)
	for i := range n {
		le.PutUint32(f.at(functab+i*functabEntry), size*uint32(i%2))
		le.PutUint32(f.at(functab+i*functabEntry+4), record)
	}
}

// extended is where extend puts its data.
const extended = 1 << 31

// extend adds data to the file, by program headers of these kinds in the place of the last ones, which are not needed.
func (f *forgery) extend(data []byte, kinds ...elf.ProgType) {
	le := binary.LittleEndian
	f.contents = append(f.contents, make([]byte, -len(f.contents)&7)...)
	offset, size := uint64(len(f.contents)), uint64(len(data))
	f.contents = append(f.contents, data...)
	headers, n := le.Uint64(f.contents[32:]), uint64(le.Uint16(f.contents[56:]))
	for i, kind := range kinds {
		h := f.contents[headers+56*(n-1-uint64(i)):]
		le.PutUint32(h, uint32(kind))
		for at, w := range map[int]uint64{8: offset, 16: extended, 24: extended, 32: size, 40: size} {
			le.PutUint64(h[at:], w)
		}
	}
}

// manyRelocations makes the file position-independent, with a long table of relocations in no order behind all else.
func manyRelocations(f *forgery) {
	le := binary.LittleEndian
	le.PutUint16(f.contents[16:], uint16(elf.ET_DYN))
	const count = maxStrays
	random := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 64+count*relaSize)
	for i := range uint64(count) {
		r := data[64+i*relaSize:]
		le.PutUint64(r, uint64(random.Uint32()))
		le.PutUint64(r[8:], 8) // R_X86_64_RELATIVE
		le.PutUint64(r[16:], uint64(random.Uint32()))
	}
	for i, w := range []uint64{7, extended + 64, 8, count * relaSize, 0, 0} { // DT_RELA, DT_RELASZ, DT_NULL
		le.PutUint64(data[i*8:], w)
	}
	f.extend(data, elf.PT_LOAD, elf.PT_DYNAMIC)
}
