package all

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/probes"
)

// shared are the constants that bpf.Load sets itself.
var shared = []string{"probe_index", "has_attach_cookie", "idle_max", "sampler"}

// TestDeclarations compares what every probe declares with its compiled objects, so that a constant that was forgotten fails
// here and not where a program is traced.
func TestDeclarations(t *testing.T) {
	names := map[string]bool{}
	for _, p := range Probes() {
		if names[p.Name] {
			t.Errorf("two probes are named %q", p.Name)
		}
		names[p.Name] = true
		own, err := p.Spec()
		if err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		t.Run(p.Name, func(t *testing.T) { checkDeclaration(t, p, own) })
		for path, spec := range objects(t, own) {
			t.Run(p.Name+" "+path, func(t *testing.T) { checkDeclaration(t, p, spec) })
		}
	}
}

// objects returns the objects of all architectures that hold the same programs as spec, of the folders below probes.
func objects(t *testing.T, spec *ebpf.CollectionSpec) map[string]*ebpf.CollectionSpec {
	t.Helper()
	paths, err := filepath.Glob("../*/*_bpfel.o")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*ebpf.CollectionSpec{}
	var archs []string
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		other, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if !samePrograms(spec, other) {
			continue
		}
		found[filepath.Base(path)] = other
		arch := strings.Split(strings.TrimSuffix(filepath.Base(path), "_bpfel.o"), "_")
		archs = append(archs, arch[len(arch)-1])
	}
	slices.Sort(archs)
	if !slices.Equal(archs, []string{"arm64", "x86"}) {
		t.Errorf("objects for %v, want arm64 and x86: run `make generate`", archs)
	}
	return found
}

// samePrograms says whether two objects have a program in common: program names are a probe's own.
func samePrograms(a, b *ebpf.CollectionSpec) bool {
	for name := range a.Programs {
		if _, ok := b.Programs[name]; ok {
			return true
		}
	}
	return false
}

func checkDeclaration(t *testing.T, p probes.Probe, spec *ebpf.CollectionSpec) {
	checkPrograms(t, p, spec)
	declared := map[string]bool{}
	for _, name := range shared {
		checkVariable(t, spec, name, sharedSize(name))
		declared[name] = true
	}
	for _, program := range p.Programs {
		name := program.Name + "_points"
		checkVariable(t, spec, name, unsafe.Sizeof(bpf.Points{}))
		declared[name] = true
	}
	for _, c := range p.Constants {
		if declared[c.Name] {
			t.Errorf("constant %s is declared twice", c.Name)
		}
		declared[c.Name] = true
		checkVariable(t, spec, c.Name, constantSize(t, c))
	}
	for name, v := range spec.Variables {
		if v.Constant() && !declared[name] && name != "inject_enabled" && name != "faults" && name != "may_write_registers" && !strings.HasPrefix(name, "unused") {
			t.Errorf("nothing sets the constant %s: add it to the probe's Constants", name)
		}
	}
}

func checkPrograms(t *testing.T, p probes.Probe, spec *ebpf.CollectionSpec) {
	declared := map[string]bool{}
	for _, program := range p.Programs {
		if declared[program.Name] {
			t.Errorf("program %s is declared twice", program.Name)
		}
		declared[program.Name] = true
		if _, ok := spec.Programs[program.Name]; !ok {
			t.Errorf("there is no program %s", program.Name)
		}
		if len(program.Sites) == 0 {
			t.Errorf("program %s has no site", program.Name)
		}
		for _, site := range program.Sites {
			if most := len(bpf.Points{}.At[0].Results); site.Results > most {
				t.Errorf("program %s wants %d results, more than %d", program.Name, site.Results, most)
			}
		}
		checkTrial(t, program, spec)
	}
	for name := range spec.Programs {
		if !declared[name] {
			t.Errorf("program %s is attached nowhere: add it to the probe's Programs", name)
		}
	}
}

func checkTrial(t *testing.T, program probes.Program, spec *ebpf.CollectionSpec) {
	if program.Trial == nil {
		return
	}
	if !program.Optional {
		t.Errorf("program %s is on trial, so it must be optional", program.Name)
	}
	for _, name := range []string{program.Trial.Needed, program.Trial.Spare, program.Trial.Missed} {
		v, ok := spec.Variables[name]
		if !ok || v.Size() != 8 || v.Constant() {
			t.Errorf("counter %s of program %s is not a 64-bit variable", name, program.Name)
		}
	}
}

// checkVariable checks that a constant exists and has the size of what Go puts there.
func checkVariable(t *testing.T, spec *ebpf.CollectionSpec, name string, size uintptr) {
	v, ok := spec.Variables[name]
	switch {
	case !ok:
		t.Errorf("there is no constant %s", name)
	case !v.Constant():
		t.Errorf("%s is a variable, not a constant", name)
	case uintptr(v.Size()) != size:
		t.Errorf("constant %s has %d bytes, want %d", name, v.Size(), size)
	}
}

func sharedSize(name string) uintptr {
	switch name {
	case "probe_index":
		return 4
	case "idle_max":
		return 8
	case "has_attach_cookie":
		return 1
	}
	return unsafe.Sizeof(bpf.Sampling{})
}

func constantSize(t *testing.T, c probes.Constant) uintptr {
	switch c.Of.(type) {
	case probes.Field, probes.Fields, probes.Size:
		return 8
	case probes.Itabs, probes.Types, probes.Returns:
		return unsafe.Sizeof(bpf.AddrSet{})
	case probes.MapOf:
		return unsafe.Sizeof(bpf.MapLayout{})
	case probes.Entry:
		return 8
	case probes.ReadOnly:
		return unsafe.Sizeof(bpf.AddressRange{})
	case probes.Pieces:
		return unsafe.Sizeof(bpf.Pieces{})
	case probes.Contexts:
		return unsafe.Sizeof(bpf.ContextTypes{})
	case probes.Values:
		return unsafe.Sizeof(bpf.KnownValues{})
	}
	t.Errorf("constant %s: a source of unknown kind %T", c.Name, c.Of)
	return 0
}
