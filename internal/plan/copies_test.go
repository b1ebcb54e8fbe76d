package plan

import (
	"errors"
	"slices"
	"testing"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/testenv"
	"github.com/remora-agent/remora/probes"
	"github.com/remora-agent/remora/probes/databasesql"
	"github.com/remora-agent/remora/probes/grpc"
	"github.com/remora-agent/remora/probes/nethttp"
	"github.com/remora-agent/remora/process"
)

// TestCopies: in programs built with a profile, the copies of what probes are about have points; and of those that no probe can see, the plan says so.
func TestCopies(t *testing.T) {
	const newest, fixtures = "1.27.4", "../../test/e2e/testdata/"
	for _, tt := range []struct {
		dir, hot string
		probe    probes.Probe
		want     map[string][]string // functions with points for copies, some of them, by program
	}{
		{"httpserver", testenv.HotServer(27), nethttp.Server(), map[string][]string{
			"serve_http": {"net/http.(*conn).serve", "net/http.initALPNRequest.ServeHTTP", "net/http.unencryptedHTTP2Request.ServeHTTP"},
		}},
		{"grpc", testenv.HotGRPCClient(), grpc.Client(), map[string][]string{
			"finish": {"google.golang.org/grpc.(*clientStream).withRetry", "google.golang.org/grpc.(*clientStream).Header", "google.golang.org/grpc.(*clientStream).RecvMsg"},
		}},
		{"sqlclient", testenv.HotSQL(), databasesql.Probe(), map[string][]string{
			"db_call":     {"database/sql.(*DB).QueryContext.func1", "database/sql.(*DB).QueryContext.1", "database/sql.(*DB).BeginTx.1"},
			"conn_call":   {"database/sql.(*Conn).QueryRowContext", "main.init.func23", "main.init.func24"},
			"tx_call":     {"database/sql.(*Tx).Query", "database/sql.(*Tx).Exec", "database/sql.(*Tx).Prepare", "database/sql.(*Tx).Rollback", "main.init.func10"},
			"conn_return": {"database/sql.(*Conn).QueryRowContext", "main.init.func23", "main.init.func24"},
			"tx_return":   {"database/sql.(*Tx).Query", "database/sql.(*Tx).Exec", "database/sql.(*Tx).Prepare", "database/sql.(*Tx).Rollback", "main.init.func10"},
		}},
	} {
		t.Run(tt.dir, func(t *testing.T) {
			b := open(t, fixtures+tt.dir, testenv.BuildSpec{Go: newest, Stripped: true, Hot: tt.hot})
			p := Make(b, tt.probe)
			if p.Err != nil {
				t.Fatal(p.Err)
			}
			for _, program := range p.Programs {
				for _, copied := range program.Unseen {
					t.Errorf("%s does not see the copy of %s in %s", program.Name, copied.Name, copied.In.Name)
				}
				var got []string
				for _, point := range program.Points {
					if point.Site >= len(program.Sites) {
						got = append(got, point.Func.Name)
					}
				}
				for _, want := range tt.want[program.Name] {
					if !slices.Contains(got, want) {
						t.Errorf("%s has no point in %s, but in %v", program.Name, want, got)
					}
				}
			}
			for i := range tt.probe.Programs {
				tt.probe.Programs[i].Copies = nil
			}
			for _, program := range Make(b, tt.probe).Programs {
				if n := len(program.Unseen); n > 0 != (tt.want[program.Name] != nil) && program.Name != "db_return" {
					t.Errorf("without places for copies, %s does not see %d", program.Name, n)
				}
			}
		})
	}
}

// TestOnlyCopies: of methods that have no function left, and in functions that the compiler has made, copies have points as well.
func TestOnlyCopies(t *testing.T) {
	for _, tt := range []struct {
		version string
		want    map[string][]string // functions with points for copies, by program
	}{
		{"1.26.8", map[string][]string{"db_call": {"main.looped.(*DB).QueryContext.func1", "main.direct.(*DB).ExecContext.func1"}, "conn_call": {"main.both"}, "conn_return": {"main.both"}, "tx_call": {"main.both"}, "tx_return": {"main.both"}}},
		{"1.27.4", map[string][]string{"db_call": {"database/sql.(*DB).QueryContext.1", "database/sql.(*DB).ExecContext.func1"}, "conn_call": {"main.both"}, "conn_return": {"main.both"}, "tx_call": {"main.both"}, "tx_return": {"main.both"}}},
	} {
		t.Run(tt.version, func(t *testing.T) {
			b := hotCopies(t, tt.version)
			p := Make(b, databasesql.Probe())
			got := map[string][]string{}
			for _, program := range p.Programs {
				for _, copied := range program.Unseen {
					t.Errorf("%s does not see the copy of %s in %s", program.Name, copied.Name, copied.In.Name)
				}
				for _, point := range program.Points {
					if point.Site >= len(program.Sites) {
						got[program.Name] = append(got[program.Name], point.Func.Name)
					}
				}
			}
			for name, want := range tt.want {
				if !slices.Equal(got[name], want) {
					t.Errorf("%s has points for copies in %v, want %v", name, got[name], want)
				}
			}
		})
	}
}

func hotCopies(t *testing.T, version string) *process.Binary {
	hot := ""
	for _, method := range []string{"Conn).QueryContext", "Tx).QueryContext", "DB).QueryContext", "DB).ExecContext"} {
		hot += "* database/sql.(*" + method + "\n"
	}
	return open(t, "testdata/copies", testenv.BuildSpec{Go: version, Stripped: true, Hot: hot})
}

// TestCopiesDoNotMakeUp: copies do not make up for a function that is there and has no place for a probe.
func TestCopiesDoNotMakeUp(t *testing.T) {
	const method = "database/sql.(*Conn).QueryContext"
	program := probes.Program{
		Name: "it", Every: true, Sites: []probes.Site{{Func: method}},
		Copies: []probes.Copy{{Of: method, Site: probes.Site{At: "database/sql.(*DB).queryDC", Every: true}}},
	}
	b := hotCopies(t, "1.27.4")
	if p := Make(b, probes.Probe{Programs: []probes.Program{program}}); p.Err != nil {
		t.Error(p.Err)
	}
	program.Sites = append(program.Sites, probes.Site{Func: "main.main", At: "main.none"})
	if p := Make(b, probes.Probe{Programs: []probes.Program{program}}); p.Err == nil {
		t.Error("main.main is taken to have a place")
	}
}

// TestHTTP2Handler: where Go 1.27's HTTP/2 calls the server's handler, a profile makes a copy in which no request is at hand. Another probe sees it.
func TestHTTP2Handler(t *testing.T) {
	for _, hot := range []string{"", testenv.HotServer(27)} {
		b := server(t, testenv.BuildSpec{Go: "1.27.4", Stripped: true, Hot: hot})
		p := Make(b, nethttp.HTTP2ServerCopy())
		if linked := !errors.Is(p.Err, ErrNotLinked); linked != (hot != "") || linked && p.Err != nil {
			t.Errorf("profile %q: %v", hot, p.Err)
		}
		if unseen := Make(b, nethttp.Server()).Programs[0].Unseen; len(unseen) > 0 {
			t.Errorf("profile %q: not seen: %+v", hot, unseen)
		}
	}
}

// TestManyCopies: of a function that is inlined everywhere there are more copies than are looked at, and far more than the points that a program has room
// for. The plan says so.
func TestManyCopies(t *testing.T) {
	const errorsNew = "errors.New"
	site := probes.Site{At: "runtime.newobject", Every: true}
	p := Make(server(t, testenv.BuildSpec{}), probes.Probe{Programs: []probes.Program{
		{Name: "it", Sites: []probes.Site{{Func: errorsNew}}, Copies: []probes.Copy{{Of: errorsNew, Site: site}}},
	}})
	if p.Err != nil {
		t.Fatal(p.Err)
	}
	program := p.Programs[0]
	if room, n := len(bpf.Points{}.At), len(program.Points); n < room/2 || n > room {
		t.Errorf("%d points, which have room for %d", n, room)
	}
	if n := len(program.Unseen); n < process.MaxCopies/2 || program.Unseen[0].In.Name != "further functions" {
		t.Errorf("%d copies are not seen, of which the first is %+v", n, program.Unseen[:min(n, 1)])
	}
}

// TestEnds: a program that begins what no other ends is not placed.
func TestEnds(t *testing.T) {
	p := Make(hotCopies(t, "1.27.4"), probes.Probe{Programs: []probes.Program{
		{Name: "begin", Optional: true, Sites: []probes.Site{{Func: "main.main"}}, Ends: "end"},
		{Name: "end", Optional: true, Sites: []probes.Site{{Func: "main.main", At: "main.none"}}},
	}})
	if want := []string{"begin", "end"}; !slices.Equal(p.Without(), want) {
		t.Errorf("without %v, want %v", p.Without(), want)
	}
}

// TestCopyWithoutEnd: a copy of which the end is not seen has no beginning.
func TestCopyWithoutEnd(t *testing.T) {
	probe := databasesql.Probe()
	for i := range probe.Programs {
		if probe.Programs[i].Name == "tx_return" {
			probe.Programs[i].Copies = nil
		}
	}
	for _, program := range Make(hotCopies(t, "1.27.4"), probe).Programs {
		if program.Name != "tx_call" {
			continue
		}
		if len(program.Unseen) != 1 || program.Unseen[0].In.Name != "main.both" {
			t.Errorf("not seen: %+v", program.Unseen)
		}
		for _, point := range program.Points {
			if point.Func.Name == "main.both" {
				t.Error("the copy's call is seen")
			}
		}
	}
}
