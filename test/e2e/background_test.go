package e2e

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/remora-agent/remora/internal/testenv"
)

// TestBackgroundCalls: each call that belongs to no request is a trace of its own, whoever started the goroutine that makes it.
func TestBackgroundCalls(t *testing.T) {
	testenv.RequireRoot(t)
	const calls = 100
	for _, version := range []string{goVersions[0], newest()} {
		bin := testenv.Build(t, testenv.BuildSpec{Dir: "testdata/httpclient", Go: version, Stripped: true})
		for _, tt := range []struct {
			name   string
			first  string // a request on a keep-alive connection
			second string // on the same connection behind the first one's span, if same; else on another while that is closed
			same   bool
		}{
			{name: "first goroutine", first: "/background"},
			{name: "started by a request on a connection that is gone", first: "/loop", second: "/release"},
			{name: "started by an earlier request of its creator", first: "/loop", second: "/release", same: true},
		} {
			t.Run(version+" "+tt.name, func(t *testing.T) {
				sink, u := testenv.NewSink(t), startUpstream(t)
				target := testenv.StartTarget(t, bin, nil)
				agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", strconv.Itoa(target.PID)}, Env: []string{"REMORA_PROPAGATION=none"}})
				agent.WaitTraced(t, target.PID)
				conn := dialKeepAlive(t, target)
				conn.ask(t, tt.first+"?n="+strconv.Itoa(calls)+"&to="+url.QueryEscape(u.http1.URL))
				servers := 1
				if tt.second != "" {
					sink.Wait(t, 1, testenv.Patient(10*time.Second)) // the first request is over
					if !tt.same {
						conn.Close()
						conn = dialKeepAlive(t, target)
					}
					conn.ask(t, tt.second)
					servers = 2
				}
				checkRoots(t, sink.Wait(t, servers+calls, testenv.Patient(20*time.Second)), servers, calls)
			})
		}
	}
}

// checkRoots: every span is the root of a trace of its own.
func checkRoots(t *testing.T, spans []testenv.Span, servers, calls int) {
	t.Helper()
	traces, kinds := map[string]bool{}, map[string]int{}
	for _, s := range spans {
		if len(s.ParentSpanId) > 0 {
			t.Errorf("span %q of kind %v has the parent %x, want none", s.Name, s.Kind, s.ParentSpanId)
		}
		traces[string(s.TraceId)] = true
		kinds[s.Kind.String()]++
	}
	if len(traces) != servers+calls || kinds["SPAN_KIND_SERVER"] != servers || kinds["SPAN_KIND_CLIENT"] != calls {
		t.Errorf("%d traces of %v, want %d of %d servers and %d clients", len(traces), kinds, servers+calls, servers, calls)
	}
}

// keepAliveConn is one connection, so that a test knows which goroutine of the target serves its requests.
type keepAliveConn struct {
	net.Conn
	answers *bufio.Reader
}

func dialKeepAlive(t *testing.T, target *testenv.Target) keepAliveConn {
	t.Helper()
	conn, err := net.Dial("tcp", target.Addr("plain"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(testenv.Patient(20 * time.Second)))
	return keepAliveConn{conn, bufio.NewReader(conn)}
}

// ask sends a request and reads its answer.
func (c keepAliveConn) ask(t *testing.T, path string, lines ...string) {
	t.Helper()
	if _, err := io.WriteString(c, keepAlive("GET", path, lines...)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", path, resp.Status, err)
	}
}
