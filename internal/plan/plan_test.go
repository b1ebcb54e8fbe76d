package plan

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/testenv"
	"github.com/remora-agent/remora/probes"
	"github.com/remora-agent/remora/probes/nethttp"
	"github.com/remora-agent/remora/process"
)

func open(t *testing.T, dir string, spec testenv.BuildSpec) *process.Binary {
	t.Helper()
	if testing.Short() && spec.Go != "" {
		t.Skip("builds with another toolchain; run without -short")
	}
	spec.Dir = dir
	b, err := process.Open(testenv.Build(t, spec))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func server(t *testing.T, spec testenv.BuildSpec) *process.Binary {
	return open(t, "../../test/e2e/testdata/httpserver", spec)
}

// placed is what a plan says of a program, in short.
type placed struct {
	Name  string
	Funcs []string // where its points are
	Costs []process.Cost
}

func summary(p Plan) []placed {
	var all []placed
	for _, program := range p.Programs {
		s := placed{Name: program.Name}
		for _, point := range program.Points {
			s.Funcs = append(s.Funcs, point.Func.Name)
			s.Costs = append(s.Costs, point.Cost)
		}
		all = append(all, s)
	}
	return all
}

// TestServerPlan: the two probes of every request and the one of every connection are emulated in programs of all versions.
func TestServerPlan(t *testing.T) {
	cheap, dear := []process.Cost{process.Emulated}, []process.Cost{process.Stepped, process.Stepped}
	serve := []placed{
		{"serve_http", []string{"net/http.serverHandler.ServeHTTP"}, cheap},
		{"serve_http_return", []string{"net/http.(*conn).serve"}, cheap},
		{"serve_unwind", []string{"net/http.(*conn).serve.func1"}, cheap},
	}
	findHandler := placed{"mux_match", // behind two calls: the mux of today and, for a GODEBUG, that of Go 1.21
		[]string{"net/http.(*ServeMux).ServeHTTP", "net/http.(*ServeMux).ServeHTTP"},
		[]process.Cost{process.Emulated, process.Emulated}}
	handler := placed{"mux_match", []string{"net/http.(*ServeMux).handler", "net/http.(*ServeMux).handler"}, dear}
	bundled := placed{"stream_done", []string{"net/http.(*http2serverConn).runHandler.func1"}, cheap}

	internal := placed{"stream_done", []string{"net/http/internal/http2.(*serverConn).runHandler.func1"}, cheap}
	tests := []struct {
		spec        testenv.BuildSpec
		stream, mux placed
	}{
		{testenv.BuildSpec{Go: "1.18.10"}, bundled, handler},
		{testenv.BuildSpec{Go: "1.21.13", Stripped: true}, bundled, handler},
		{testenv.BuildSpec{}, bundled, findHandler},
		{testenv.BuildSpec{Stripped: true, PIE: true}, bundled, findHandler},
		{testenv.BuildSpec{Go: "1.27.4", Stripped: true}, internal, findHandler},
	}
	for _, tt := range tests {
		t.Run(tt.spec.String(), func(t *testing.T) {
			b := server(t, tt.spec)
			p := Make(b, nethttp.Server())
			if p.Err != nil {
				t.Fatal(p.Err)
			}
			if diff := cmp.Diff(append(serve[:3:3], tt.stream, tt.mux), summary(p)); diff != "" {
				t.Error(diff)
			}
			if without := p.Without(); len(without) > 0 || p.Summary() != "" {
				t.Errorf("without %v: %s", without, p.Summary())
			}
			checkConstants(t, p)
			checkOffsets(t, b, p)
		})
	}
}

// checkConstants: every constant has a value, and only optional fields are absent.
func checkConstants(t *testing.T, p Plan) {
	for _, c := range p.Probe.Constants {
		value, ok := p.Constants[c.Name]
		if !ok || (value == bpf.Absent && !c.Optional) {
			t.Errorf("constant %s is %v", c.Name, value)
		}
	}
	for _, program := range p.Programs {
		points, ok := p.Constants[program.Name+"_points"].(bpf.Points)
		if !ok || points.N != uint64(len(program.Points)) {
			t.Errorf("%s: points %+v", program.Name, points)
			continue
		}
		for i, point := range program.Points {
			if points.At[i].Addr != point.Addr {
				t.Errorf("%s: point %d is at %#x, want %#x", program.Name, i, points.At[i].Addr, point.Addr)
			}
		}
	}
	if want := len(p.Probe.Constants) + len(p.Programs); len(p.Constants) != want {
		t.Errorf("%d constants, want %d", len(p.Constants), want)
	}
}

// checkOffsets: a point's offset in the file is that of its address.
func checkOffsets(t *testing.T, b *process.Binary, p Plan) {
	for _, program := range p.Programs {
		for _, point := range program.Points {
			offset, ok := b.FileOffset(point.Addr)
			if !ok || offset != point.Offset || len(point.Bytes) == 0 {
				t.Errorf("%s: %#x is at %#x in the file, not %#x", program.Name, point.Addr, offset, point.Offset)
			}
		}
	}
}

func TestNotLinked(t *testing.T) {
	p := Make(open(t, "testdata/plain", testenv.BuildSpec{}), nethttp.Server())
	if !errors.Is(p.Err, ErrNotLinked) {
		t.Error(p.Err)
	}
	if want := "net/http server: the program does not contain it"; p.Summary() != want {
		t.Errorf("got %q, want %q", p.Summary(), want)
	}
}

// TestOnlyOptionalIsNotLinked: a client may have a part of the server, which is no reason to complain about the rest.
func TestOnlyOptionalIsNotLinked(t *testing.T) {
	p := Make(open(t, "testdata/plain", testenv.BuildSpec{}), probes.Probe{Name: "it", Programs: []probes.Program{
		{Name: "required", Sites: []probes.Site{{Func: "main.none"}}},
		{Name: "optional", Optional: true, Sites: []probes.Site{{Func: "main.main"}}},
	}})
	if !errors.Is(p.Err, ErrNotLinked) {
		t.Error(p.Err)
	}
}

// TestReasons: what a binary lacks is said, by name.
func TestReasons(t *testing.T) {
	program := func(sites ...probes.Site) probes.Program { return probes.Program{Name: "it", Sites: sites} }
	field := func(typ, path string) probes.Constant {
		return probes.Constant{Name: "c", Of: probes.Field{Type: typ, Path: path}}
	}
	found := program(probes.Site{Func: "main.main"})
	tests := []struct {
		name      string
		program   probes.Program
		constants []probes.Constant
		want      string // in the reason
	}{
		{"function", program(probes.Site{Func: "main.none"}), nil, "the program has no function main.none"},
		{"all alternatives", program(probes.Site{Func: "main.none"}, probes.Site{Func: "main.neither"}), nil,
			"the program has no function main.none; the program has no function main.neither"},
		{"inlined", program(probes.Site{Func: "main.inlined"}), nil, "main.inlined is inlined wherever it is called"},
		{"caller", program(probes.Site{Func: "main.*", Calls: "runtime.gorecover"}), nil, "no function main.* calls runtime.gorecover"},
		{"call", program(probes.Site{Func: "main.main", After: []string{"a.B", "c.D"}}), nil, "main.main has no call of a.B or c.D"},
		{"type", found, []probes.Constant{field("none.T", "F")}, "none.T"},
		{"field", found, []probes.Constant{field("runtime.g", "nothing")}, "nothing"},
		{"itab", found, []probes.Constant{{Name: "c", Of: probes.Itabs{Interface: "a.I", Concrete: []string{"*b.T"}}}}, "no itab of *b.T for a.I"},
		{"map", found, []probes.Constant{{Name: "c", Of: probes.MapOf("none.M")}}, "none.M"},
		{"two things", program(probes.Site{Func: "main.none"}), []probes.Constant{field("none.T", "F")}, "main.none; "},
	}
	b := open(t, "testdata/plain", testenv.BuildSpec{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := Make(b, probes.Probe{
				Name: "it", Library: "main", Constants: tt.constants,
				Programs: []probes.Program{tt.program, {Name: "anchor", Sites: []probes.Site{{Func: "main.main"}}}},
			})
			if p.Err == nil || !strings.Contains(p.Summary(), tt.want) {
				t.Errorf("reason %q, want %q", p.Summary(), tt.want)
			}
		})
	}
}

// TestOptional: what is optional and missing leaves the rest of the probe on.
func TestOptional(t *testing.T) {
	b := open(t, "testdata/plain", testenv.BuildSpec{})
	p := Make(b, probes.Probe{
		Name: "it", Library: "main",
		Programs: []probes.Program{
			{Name: "there", Sites: []probes.Site{{Func: "main.none"}, {Func: "main.main"}}},
			{Name: "missing", Optional: true, Sites: []probes.Site{{Func: "main.none"}}},
		},
		Constants: []probes.Constant{
			{Name: "field", Optional: true, Of: probes.Field{Type: "none.T", Path: "F"}},
			{Name: "second", Of: probes.Fields{{Type: "none.T", Path: "F"}, {Type: "runtime.g", Path: "stack"}}},
			{Name: "types", Optional: true, Of: probes.Types{"none.T"}},
			{Name: "itabs", Optional: true, Of: probes.Itabs{Interface: "a.I", Concrete: []string{"*b.T"}}},
		},
	})
	if p.Err != nil {
		t.Fatal(p.Err)
	}
	if diff := cmp.Diff([]string{"missing"}, p.Without()); diff != "" {
		t.Error(diff)
	}
	want := map[string]any{"field": bpf.Absent, "second": int64(0), "types": bpf.AddrSet{}, "itabs": bpf.AddrSet{}}
	delete(p.Constants, "there_points")
	if diff := cmp.Diff(want, p.Constants, cmpopts.IgnoreUnexported(bpf.AddrSet{})); diff != "" {
		t.Error(diff)
	}
}

// TestConstantOf: the table of points as the programs read it.
func TestConstantOf(t *testing.T) {
	points := []Point{
		{Point: process.Point{Addr: 0x1001}},
		{Point: process.Point{Addr: 0x1002, When: process.Taken, CC: 5}},
		{Point: process.Point{Addr: 0x1003, When: process.NotTaken, CC: 6, Results: []process.Location{
			{Known: true, Reg: 1, Machine: 3}, {Known: true, Stack: true, Off: -16}, {}, {Const: true, Value: 7}, {Known: true, Machine: 9},
		}}},
	}
	got := constantOf(points, true)
	var want bpf.Points
	want.N, want.Fixed = 3, 0xfff
	want.At[0].Addr = 0x1001
	want.At[1].Addr, want.At[1].Branch, want.At[1].Cc = 0x1002, bpf.BranchTaken, 5
	want.At[2].Addr, want.At[2].Branch, want.At[2].Cc = 0x1003, bpf.BranchNotTaken, 6
	want.At[2].Results[0].Place, want.At[2].Results[0].Reg = bpf.PlaceRegister, 3
	want.At[2].Results[1].Place, want.At[2].Results[1].Off = bpf.PlaceStack, -16
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := constantOf(points, false).Fixed; got != ^uint64(0) {
		t.Errorf("where the executable is never moved, %#x stays", got)
	}
}

// TestCheckPoints: the programs have room for so many.
func TestCheckPoints(t *testing.T) {
	room := len(bpf.Points{}.At)
	points := make([]Point, room+1)
	points[0].Func.Name = "f"
	if err := checkPoints(points[:room]); err != nil {
		t.Error(err)
	}
	if err, want := checkPoints(points), fmt.Sprintf("f needs %d probes, more than %d", room+1, room); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestMapLayout(t *testing.T) {
	for _, l := range []process.MapLayout{{KeyIndirect: true}, {ElemIndirect: true}} {
		if _, err := mapLayout(l); err == nil {
			t.Errorf("no error for %+v", l)
		}
	}
}
