package matrix

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/arch/x86/x86asm"

	"github.com/remora-agent/remora/internal/plan"
	"github.com/remora-agent/remora/internal/testenv"
	"github.com/remora-agent/remora/probes"
	"github.com/remora-agent/remora/probes/all"
	"github.com/remora-agent/remora/process"
)

// TestMatrix compares everything that the probes declare with the twin's own word, in every cell.
func TestMatrix(t *testing.T) {
	d := declarations()
	oracles := map[testenv.BuildSpec]oracle{}
	for _, c := range cells() {
		t.Run(c.spec.String(), func(t *testing.T) {
			path, twin := c.build(t)
			o, ok := oracles[c.twin]
			if !ok {
				o = readOracle(t, twin, d)
				oracles[c.twin] = o
			}
			b, err := process.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			compare(t, "functions", o.allFunctions(d), functionsOf(b, o, d))
			compare(t, "fields", o.allFields(d), fieldsOf(b, d))
			compare(t, "types", o.allTypes(d), o.known(typesOf(b, d), c.spec.Go))
			if c.spec.Go != newest { // which has no symbols for itabs; package process checks them by their methods
				compare(t, "itabs", o.allItabs(d), itabsOf(b, d))
			}
			checkPlans(t, b, o)
		})
	}
}

// TestEveryProbeIsTried fails when no cell has a probe's library, which testdata/libraries then does not use.
func TestEveryProbeIsTried(t *testing.T) {
	tried := map[string]bool{}
	for _, c := range cells() {
		if c.spec.Go != newest || c.spec.Stripped {
			continue
		}
		b, err := process.Open(testenv.Build(t, c.spec))
		if err != nil {
			t.Fatal(err)
		}
		for _, probe := range all.Probes() {
			if p := plan.Make(b, probe); p.Err == nil {
				tried[probe.Name] = true
			}
		}
		b.Close()
	}
	for _, probe := range all.Probes() {
		if !tried[probe.Name] {
			t.Errorf("testdata/libraries does not use %s: add a file that does", probe.Library)
		}
	}
}

func compare(t *testing.T, what string, want, got map[string]string) {
	t.Helper()
	if len(want) == 0 {
		t.Errorf("the twin has no %s to compare", what)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-twin +found):\n%s", what, diff)
	}
}

func (o oracle) allFunctions(d declared) map[string]string {
	found := map[string]string{}
	for name := range d.functions {
		for _, s := range o.functions(name) {
			found[fmt.Sprintf("%s at %#x", name, s.addr)] = fmt.Sprint("size ", s.size)
		}
	}
	return found
}

// padding is the most that lies between functions, in bytes; the size of a function in the function table includes it.
const padding = 64

func functionsOf(b *process.Binary, o oracle, d declared) map[string]string {
	var names []string
	for name := range d.functions {
		names = append(names, name)
	}
	found := map[string]string{}
	for name, functions := range b.Functions(names...) {
		for _, f := range functions {
			size := f.Size
			for _, s := range o.functions(name) {
				if s.addr == f.Addr && s.size <= f.Size && f.Size < s.size+padding {
					size = s.size
				}
			}
			found[fmt.Sprintf("%s at %#x", name, f.Addr)] = fmt.Sprint("size ", size)
		}
	}
	return found
}

func (o oracle) allFields(d declared) map[string]string {
	found := map[string]string{}
	for f := range d.fields {
		if offset, ok := o.offset(f); ok {
			found[f.Type+"."+f.Path] = fmt.Sprint("offset ", offset)
		}
	}
	for name := range d.sizes {
		if s := o.structs[name]; s != nil {
			found[name] = fmt.Sprint("size ", s.ByteSize)
		}
	}
	return found
}

func fieldsOf(b *process.Binary, d declared) map[string]string {
	found := map[string]string{}
	for f := range d.fields {
		path, err := b.Field(f.Type, f.Path)
		if err != nil {
			continue
		}
		if offset, inline := path.Inline(); inline { // what is behind a pointer is no declared field, for plans as for the oracle
			found[f.Type+"."+f.Path] = fmt.Sprint("offset ", offset)
		}
	}
	for name := range d.sizes {
		if size, err := b.StructSize(name); err == nil {
			found[name] = fmt.Sprint("size ", size)
		}
	}
	return found
}

func (o oracle) allTypes(d declared) map[string]string {
	found := map[string]string{}
	for name := range d.types {
		if addrs := o.types[name]; len(addrs) > 0 {
			found[name] = fmt.Sprintf("%#x", addrs)
		}
	}
	return found
}

func typesOf(b *process.Binary, d declared) map[string]string {
	found := map[string]string{}
	for name := range d.types {
		if addrs := b.TypeAddrs(name); len(addrs) > 0 {
			found[name] = fmt.Sprintf("%#x", addrs)
		}
	}
	return found
}

// known leaves out the types that the twin says nothing about: up to Go 1.19 DWARF lacks those that no variable has, such as
// the struct{} types of context keys.
func (o oracle) known(found map[string]string, version string) map[string]string {
	if strings.HasPrefix(version, "1.18.") || strings.HasPrefix(version, "1.19.") {
		maps.DeleteFunc(found, func(name, _ string) bool { return len(o.types[name]) == 0 })
	}
	return found
}

func (o oracle) allItabs(d declared) map[string]string {
	found := map[string]string{}
	for i := range d.itabs {
		for _, s := range o.symbols["go:itab."+i.concrete+","+i.iface] {
			found[i.concrete+" as "+i.iface] += fmt.Sprintf("%#x ", s.addr)
		}
	}
	return found
}

func itabsOf(b *process.Binary, d declared) map[string]string {
	found := map[string]string{}
	for i := range d.itabs {
		for _, addr := range b.Itabs(i.iface, i.concrete) {
			found[i.concrete+" as "+i.iface] += fmt.Sprintf("%#x ", addr)
		}
	}
	return found
}

// checkPlans: every probe can be placed, with all its programs, but for those whose library or functions the program does not have.
func checkPlans(t *testing.T, b *process.Binary, o oracle) {
	for _, probe := range all.Probes() {
		p := plan.Make(b, probe)
		if errors.Is(p.Err, plan.ErrNotLinked) {
			checkNotLinked(t, probe, o)
			continue
		}
		if p.Err != nil {
			t.Errorf("%s: %v", probe.Name, p.Err)
		}
		for _, program := range p.Programs {
			if program.Err != nil && p.Err == nil && o.hasAny(program.Sites) {
				t.Errorf("%s %s: %v", probe.Name, program.Name, program.Err)
			}
			for _, copied := range program.Unseen {
				t.Errorf("%s %s does not see the copy of %s in %s", probe.Name, program.Name, copied.Name, copied.In.Name)
			}
			for _, point := range program.Points {
				checkPoint(t, b, program.Name, point)
			}
		}
	}
}

func (o oracle) hasAny(sites []probes.Site) bool {
	return slices.ContainsFunc(sites, func(s probes.Site) bool { return len(o.functions(s.Func)) > 0 })
}

// checkNotLinked: the twin does not have what the probe needs, or nothing of what its programs cannot do without.
func checkNotLinked(t *testing.T, probe probes.Probe, o oracle) {
	t.Helper()
	if probe.NeedsIn != "" || probe.Needs != "" && len(o.functions(probe.Needs)) == 0 { // symbols know nothing of what is inlined
		return
	}
	for _, program := range probe.Programs {
		for _, site := range program.Sites {
			if !program.Optional && len(o.functions(site.Func)) > 0 {
				t.Errorf("%s: not linked, and yet the twin has %s", probe.Name, site.Func)
			}
		}
	}
}

// checkPoint: a point is at the start of an instruction of its function, whose bytes the file has at its offset.
func checkPoint(t *testing.T, b *process.Binary, program string, point plan.Point) {
	t.Helper()
	code, err := b.Code(point.Func)
	if err != nil {
		t.Error(err)
		return
	}
	at := point.Addr - point.Func.Addr
	if at >= uint64(len(code)) || !startsInstruction(b.Arch, code, at) {
		t.Errorf("%s: %#x is not at the start of an instruction of %s", program, point.Addr, point.Func.Name)
	}
	file, err := os.Open(b.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	contents := make([]byte, len(point.Bytes))
	if _, err := file.ReadAt(contents, int64(point.Offset)); err != nil || !bytes.Equal(contents, point.Bytes) || len(contents) == 0 {
		t.Errorf("%s: the file has % x at %#x, the point wants % x: %v", program, contents, point.Offset, point.Bytes, err)
	}
}

// startsInstruction decodes the function from its beginning.
func startsInstruction(arch string, code []byte, at uint64) bool {
	if arch == "arm64" {
		return at%4 == 0
	}
	var pos uint64
	for pos < at {
		in, err := x86asm.Decode(code[pos:], 64)
		if err != nil {
			return false
		}
		pos += uint64(in.Len)
	}
	return pos == at
}
