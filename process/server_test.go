package process

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var versions = []string{"1.18.10", "1.21.13", "1.24.13", "1.26.8", "1.27.4"}

// TestServer checks the points that tracing net/http needs, in code of several compilers.
func TestServer(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		for _, version := range versions {
			t.Run(version+" "+arch, func(t *testing.T) {
				p := buildServer(t, version, arch)
				t.Run("entries", func(t *testing.T) { testServerEntries(t, p, version) })
				t.Run("after calls", func(t *testing.T) { testServerAfterCalls(t, p) })
				t.Run("returns", func(t *testing.T) { testServerReturns(t, p) })
			})
		}
	}
}

func testServerEntries(t *testing.T, p *program, version string) {
	want := Point{Asm: "PUSHQ BP", Cost: Emulated, Why: "after the stack check"}
	switch {
	case p.arch == "arm64":
		want = Point{Asm: "BLS", Cost: Emulated, When: NotTaken, CC: 9, Why: "branch of the stack check"}
	case version == "1.18.10":
		want = Point{Asm: "JBE", Cost: Emulated, When: NotTaken, CC: 6, Why: "branch of the stack check"}
	}
	for _, name := range []string{
		"net/http.serverHandler.ServeHTTP",
		"net/http.(*conn).serve",
		"net/http.(*conn).serve.func1", // recovers, so that before 1.26 its prologue looks at panics
		"net/http.HandlerFunc.ServeHTTP",
		"net/http.(*ServeMux).ServeHTTP",
	} {
		c := p.code(t, name)
		got, err := c.Entry()
		if err != nil {
			t.Error(err)
			continue
		}
		check(t, c, got)
		if want.When == NotTaken {
			got.Asm, _, _ = strings.Cut(got.Asm, " ") // the target differs
		}
		got.Addr, got.Bytes = 0, nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func testServerAfterCalls(t *testing.T, p *program) {
	c := p.code(t, "net/http.(*conn).serve")
	points, err := c.AfterCall("net/http.serverHandler.ServeHTTP", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	check(t, c, points...)
	want := "CALL net/http.(*conn).hijacked(SB)"
	if p.arch == "arm64" {
		want = "CALL (R" // of the ConnState hook, which comes first
	}
	if len(points) != 1 || !strings.HasPrefix(points[0].Asm, want) || points[0].Cost != Emulated || points[0].SPDelta >= -1000 {
		t.Errorf("after serverHandler.ServeHTTP: %+v", points)
	}

	if _, ok := p.funcs["net/http.(*ServeMux).findHandler"]; !ok {
		return // before Go 1.22
	}
	c = p.code(t, "net/http.(*ServeMux).ServeHTTP")
	points, err = c.AfterCall("net/http.(*ServeMux).findHandler", 4, 4)
	if err != nil {
		t.Fatal(err)
	}
	check(t, c, points...)
	var locations []Location
	for i, machine := range amd64.results[:4] {
		if p.arch == "arm64" {
			machine = uint8(i)
		}
		locations = append(locations, reg(uint8(i), machine))
	}
	if len(points) != 1 || points[0].Cost != Emulated {
		t.Fatalf("after findHandler: %+v", points)
	}
	if diff := cmp.Diff(locations, points[0].Results); diff != "" {
		t.Errorf("after findHandler: %s", diff)
	}
}

// testServerReturns checks a function whose deferred call, through a closure, stands before its RET.
func testServerReturns(t *testing.T, p *program) {
	name := "net/http.(*ServeMux).handler"
	if _, ok := p.funcs[name]; !ok {
		name = "net/http.(*serveMux121).handler" // from Go 1.22 on
	}
	c := p.code(t, name)
	points, err := c.Returns(4)
	if err != nil {
		t.Fatal(err)
	}
	check(t, c, points...)
	want := "RET itself: a call comes right before it"
	if p.arch == "arm64" {
		want = "RET itself"
	}
	for _, point := range points {
		point.Addr, point.Bytes = 0, nil
		if point.Asm != "RET" || point.Why != want || point.SPDelta != 0 || len(point.Results) != 4 {
			t.Errorf("%s returns at %+v", name, point)
		}
	}
	if len(points) != 2 {
		t.Errorf("%s has %d returns, want 2: with and without a recovered panic", name, len(points))
	}
}

// TestAllFunctions checks what holds for every function of a program, and prints how many points are cheap.
func TestAllFunctions(t *testing.T) {
	for _, tt := range []struct{ version, arch string }{
		{"1.26.8", "amd64"}, {"1.26.8", "arm64"}, {"1.18.10", "amd64"},
	} {
		t.Run(tt.version+" "+tt.arch, func(t *testing.T) {
			p := buildServer(t, tt.version, tt.arch)
			var framed, entries, rets, cheap, failed int
			for name := range p.funcs {
				c := p.code(t, name)
				grows := callsMorestack(c)
				entry, err := c.Entry()
				switch {
				case err != nil:
					failed++
				case grows && (entry.Cost != Emulated || entry.Addr == c.Addr || entry.SPDelta != 0):
					t.Errorf("%s: entry with a stack check is %+v", name, entry)
				}
				if grows && err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if err == nil {
					check(t, c, entry)
				}
				if grows {
					framed++
					entries += int(entry.Cost)
				}
				points, err := c.Returns(0)
				if err != nil {
					continue
				}
				check(t, c, points...)
				all, stepped := countReturns(c, points)
				rets, cheap = rets+all, cheap+all-stepped
			}
			t.Logf("%d functions: %d of %d entries behind a stack check are emulated, %d functions cannot be probed; %d of %d RETs need no step",
				len(p.funcs), entries, framed, failed, cheap, rets)
			if framed == 0 || rets == 0 {
				t.Error("the fixture has no code")
			}
		})
	}
}

func callsMorestack(c Code) bool {
	for _, call := range c.Calls() {
		if strings.HasPrefix(call.Name, "runtime.morestack") && c.nameAt(c.Addr) != "runtime.morestack_noctxt.abi0" {
			return true
		}
	}
	return false
}

// countReturns returns how many RETs c has and at how many of them the probe is stepped.
func countReturns(c Code, points []Point) (all, stepped int) {
	l, err := c.list()
	if err != nil {
		return 0, 0
	}
	for _, in := range l.insns {
		if in.flow == flowRet {
			all++
		}
	}
	for _, p := range points {
		if p.Cost == Stepped {
			stepped++
		}
	}
	return all, stepped
}
