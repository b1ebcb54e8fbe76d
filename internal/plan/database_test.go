package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/testenv"
	"github.com/remora-agent/remora/probes"
	"github.com/remora-agent/remora/probes/databasesql"
	"github.com/remora-agent/remora/process"
)

func libraries(t *testing.T, version string) *process.Binary {
	return open(t, "../../test/matrix/testdata/libraries", testenv.BuildSpec{Go: version, Stripped: true})
}

// TestDatabasePlan: each method has a point in programs of all versions, and a call of *DB costs two traps that are emulated.
func TestDatabasePlan(t *testing.T) {
	for _, version := range []string{"1.18.10", "1.21.13", "1.24.13", "1.26.8", "1.27.4"} {
		t.Run(version, func(t *testing.T) {
			p := Make(libraries(t, version), databasesql.Probe())
			if p.Err != nil {
				t.Fatal(p.Err)
			}
			checkConstants(t, p)
			got := map[string]int{}
			for _, program := range p.Programs {
				for _, point := range program.Points {
					if !strings.HasSuffix(program.Name, "_call") {
						continue
					}
					got[point.Func.Name] = point.Site
					if want := program.Sites[point.Site].Func; point.Func.Name != want || point.Cost != process.Emulated {
						t.Errorf("site %d: a point at %s, want %s; it is %v", point.Site, point.Func.Name, want, point.Cost)
					}
				}
				if first := program.Points[0]; program.Name == "db_return" && version != "1.18.10" &&
					(first.Site != 0 || first.Cost != process.Emulated) {
					t.Errorf("%s: %s of site %d is %v", program.Name, first.Asm, first.Site, first.Cost)
				}
			}
			if want := 17; len(got) != want {
				t.Errorf("%d methods have a point, want %d: %v", len(got), want, got)
			}
		})
	}
}

// TestEvery: the sites that a binary lacks are left out, and a program that has none of its own is dropped or missing.
func TestEvery(t *testing.T) {
	b := libraries(t, "")
	there, absent := probes.Site{Func: "database/sql.(*DB).PingContext"}, probes.Site{Func: "database/sql.(*DB).None"}
	avoided := probes.Site{Func: "database/sql.(*DB).PingContext", Without: "database/sql.(*DB).retry"}
	returns := probes.Site{Func: "database/sql.(*DB).PingContext", Return: true, Bare: true, Skip: 0, Results: 2}
	probe := probes.Probe{Name: "p", Programs: []probes.Program{
		{Name: "some", Every: true, Sites: []probes.Site{absent, there, avoided, returns}},
		{Name: "none", Every: true, Optional: true, Sites: []probes.Site{absent}},
		{Name: "missing", Every: true, Sites: []probes.Site{absent, avoided}},
	}}
	p := Make(b, probe)
	var sites []int
	for _, point := range p.Programs[0].Points {
		sites = append(sites, point.Site)
	}
	if diff := cmp.Diff([]int{1, 3, 3}, sites); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"none", "missing"}, p.Without()); diff != "" {
		t.Error(diff)
	}
	const want = "the program has no function database/sql.(*DB).None; every function database/sql.(*DB).PingContext calls database/sql.(*DB).retry"
	if p.Summary() != want {
		t.Errorf("%q, want %q", p.Summary(), want)
	}
}

// TestValues: paths lead through pointers and into slices; of several descriptions of a type the first that fits counts.
func TestValues(t *testing.T) {
	b := libraries(t, "")
	offset := func(typ, path string) int32 {
		p, err := b.Field(typ, path)
		if err != nil {
			t.Fatal(err)
		}
		return int32(p.Offsets[0])
	}
	known := values(b, probes.Values{
		Known: []probes.Value{
			{Type: "*net/http.Request", Strings: [3]string{"Absent"}},
			{Type: "*net/http.Request", Strings: [3]string{"Method", "", "URL.Path"}, Number: "ContentLength", Inner: "ctx"},
			{Type: "*net/http.Request", Strings: [3]string{"Proto"}},
			{Type: "syscall.Errno", Number: "."},
			{Type: "*fmt.wrapErrors", Inner: "errs[0]"},
		},
		Holders: []string{"context.Context"},
	})
	const end = bpf.ValuePathEnd
	none := bpf.ValuePath{Step: [3]int32{end, end, end}}
	at := func(steps ...int32) bpf.ValuePath {
		p := none
		copy(p.Step[:], steps)
		return p
	}
	want := map[string]bpf.KnownValue{
		"*net/http.Request": {
			Strings: [3]bpf.ValuePath{at(offset("net/http.Request", "Method")), none, at(offset("net/http.Request", "URL"), offset("net/url.URL", "Path"))},
			Number:  at(offset("net/http.Request", "ContentLength")), NumberSize: 8, Inner: at(offset("net/http.Request", "ctx")),
		},
		"syscall.Errno":      {Strings: [3]bpf.ValuePath{none, none, none}, Number: at(0), NumberSize: 8, Inner: none},
		"*fmt.wrapErrors":    {Strings: [3]bpf.ValuePath{none, none, none}, Number: none, Inner: at(offset("fmt.wrapErrors", "errs"), 0)},
		"*context.valueCtx":  {Strings: [3]bpf.ValuePath{none, none, none}, Number: none, Inner: at(0)},
		"*context.cancelCtx": {Strings: [3]bpf.ValuePath{none, none, none}, Number: none, Inner: at(0)},
		"*context.timerCtx":  {Strings: [3]bpf.ValuePath{none, none, none}, Number: none, Inner: at(0)},
	}
	got := map[string]bpf.KnownValue{}
	for _, v := range known.At[:known.N] {
		name, ok := b.TypeName(v.Type)
		if !ok || v.Type == 0 {
			t.Errorf("no type is at %#x", v.Type)
		}
		v.Type = 0
		if _, wanted := want[name]; wanted {
			got[name] = v
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
