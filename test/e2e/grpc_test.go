package e2e

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/remora-agent/remora/internal/testenv"
)

var allGRPC = flag.Bool("grpc-all", false, "run the tests of gRPC with all its versions, not with six of them")

// grpcBuild is a version of google.golang.org/grpc and a Go that can build it.
type grpcBuild struct {
	version string // "": go.mod's, the newest
	spec    testenv.BuildSpec
	often   bool // not only with -grpc-all
}

func grpcBuilds() []grpcBuild {
	all := []grpcBuild{
		{"", testenv.BuildSpec{Go: "1.27.4"}, true},
		{"1.80", testenv.BuildSpec{Go: "1.26.8"}, false},
		{"1.77", testenv.BuildSpec{Go: "1.25.8"}, true},
		{"1.72", testenv.BuildSpec{Go: "1.24.13"}, false},
		{"1.70", testenv.BuildSpec{Go: "1.23.12"}, true},
		{"1.69", testenv.BuildSpec{Go: "1.22.12"}, false},
		{"1.64", testenv.BuildSpec{Go: "1.22.12"}, true},
		{"1.60", testenv.BuildSpec{Go: "1.21.13"}, false},
		{"1.55", testenv.BuildSpec{Go: "1.20.14"}, true},
		{"1.50", testenv.BuildSpec{Go: "1.19.13"}, false},
		{"1.40", testenv.BuildSpec{Go: "1.18.10"}, true},
	}
	var chosen []grpcBuild
	for _, b := range all {
		b.spec.Dir, b.spec.Stripped = "testdata/grpc", true
		if b.version != "" {
			b.spec.ModFile = "grpc-" + b.version + ".mod"
		}
		if b.often || *allGRPC {
			chosen = append(chosen, b)
		}
	}
	return chosen
}

// overlay is the golden file of what an older version itself does otherwise; the newest has none.
func (b grpcBuild) overlay(golden string) string {
	if b.version == "" {
		return ""
	}
	return strings.TrimSuffix(golden, "golden") + b.version + ".golden"
}

// traceGRPC starts the fixture, and an agent that traces it.
func traceGRPC(t *testing.T, b grpcBuild, env ...string) (*testenv.Target, *testenv.Agent, *testenv.Sink) {
	t.Helper()
	bin := testenv.Build(t, b.spec)
	sink := testenv.NewSink(t)
	target := testenv.StartTarget(t, bin, nil)
	agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", strconv.Itoa(target.PID)}, Env: env})
	agent.WaitTraced(t, target.PID)
	return target, agent, sink
}

// An rpcBehaviour is what a client does on a connection of its own. Each call is made when the one before it is under way, and is a span.
type rpcBehaviour struct {
	name      string
	calls     []rpc
	authority string // remora.test:8080 if empty
	unsent    bool   // the sampler refuses: no spans
}

func oneRPC(name string, r rpc) rpcBehaviour { return rpcBehaviour{name: name, calls: []rpc{r}} }

func rpcBehaviours() []rpcBehaviour {
	all := []rpcBehaviour{
		oneRPC("Unary", rpc{method: "Unary", body: []byte("body")}),
		oneRPC("Upload", rpc{method: "Upload", body: []byte("body")}),
		oneRPC("Download", rpc{method: "Download", body: []byte("body")}),
		oneRPC("Talk", rpc{method: "Talk", body: []byte("body")}),
		oneRPC("4 MB", rpc{method: "Unary", body: patterned(4 << 20)}),
		oneRPC("much metadata", rpc{method: "Unary", metadata: []string{"x-long", strings.Repeat("~", 8<<10)}}),
		oneRPC("no message", rpc{method: "Unary", metadata: []string{"code", "5", "message", ""}, code: codes.NotFound}),
		oneRPC("error without status", rpc{method: "Unary", metadata: []string{"do", "error"}, code: codes.Unknown}),
		oneRPC("panic, recovered", rpc{method: "Unary", metadata: []string{"do", "panic"}, code: codes.Internal}),
		oneRPC("panic in a stream, recovered", rpc{method: "Talk", metadata: []string{"do", "panic"}, code: codes.Internal}),
		oneRPC("unknown method", rpc{method: "Nothing", code: codes.Unimplemented}),
		oneRPC("unknown service", rpc{method: "/remora.test.Nothing/Do", code: codes.Unimplemented}),
		oneRPC("malformed method", rpc{method: "/malformed", code: codes.Unimplemented}),
		oneRPC("deadline", rpc{method: "Unary", metadata: []string{"do", "overdue"}, timeout: 100 * time.Millisecond, code: codes.DeadlineExceeded}),
		oneRPC("deadline of a stream", rpc{method: "Talk", metadata: []string{"do", "overdue"}, timeout: 100 * time.Millisecond, code: codes.DeadlineExceeded}),
		oneRPC("cancelled", rpc{method: "Unary", metadata: []string{"do", "wait"}, leave: resets, code: codes.Canceled}),
		oneRPC("cancelled stream", rpc{method: "Download", metadata: []string{"do", "wait"}, leave: resets, code: codes.Canceled}),
		oneRPC("client disconnects", rpc{method: "Talk", metadata: []string{"do", "wait"}, leave: disconnects, code: codes.Canceled}),
		{name: "a stream lives on", calls: []rpc{
			{method: "Talk", metadata: []string{"do", "sleep"}}, {method: "Unary"},
		}},
		{name: "two at once, one with a parent", calls: []rpc{
			{method: "Unary", metadata: []string{"do", "sleep", "traceparent", traceparent}}, {method: "Unary"},
		}},
		{name: "authority without a port", calls: []rpc{{method: "Unary"}}, authority: "remora.test"},
		{name: "authority that is an IPv6 address", calls: []rpc{{method: "Unary"}}, authority: "[::1]:8080"},
	}
	for code := codes.OK + 1; code <= codes.Unauthenticated; code++ {
		all = append(all, oneRPC(fmt.Sprint("code ", uint(code)), rpc{method: "Unary", metadata: []string{"code", fmt.Sprint(uint(code)), "message", "as asked"}, code: code}))
	}
	for _, method := range []string{"Upload", "Download", "Talk"} {
		all = append(all, oneRPC(method+" fails", rpc{method: method, metadata: []string{"code", "13", "message", "as asked"}, code: codes.Internal}))
	}
	return append(all, rpcContextBehaviours()...)
}

func rpcContextBehaviours() []rpcBehaviour {
	with := func(name string, metadata ...string) rpcBehaviour {
		return oneRPC(name, rpc{method: "Unary", metadata: metadata})
	}
	unsampled := with("traceparent not sampled", "traceparent", strings.TrimSuffix(traceparent, "1")+"0")
	unsampled.unsent = true // the sampler follows the parent
	return []rpcBehaviour{
		with("traceparent valid", "traceparent", traceparent),
		with("traceparent and tracestate", "traceparent", traceparent, "tracestate", "foo=1,bar=2"),
		with("traceparent twice", "traceparent", traceparent, "traceparent", traceparent),
		with("traceparent not hex", "traceparent", strings.Replace(traceparent, "0af", "0ag", 1)),
		with("tracestate alone", "tracestate", "foo=1"),
		unsampled,
		oneRPC("stream with a parent that fails", rpc{method: "Talk", metadata: []string{"traceparent", traceparent, "code", "14", "message", "as asked"}, code: codes.Unavailable}),
	}
}

func (b rpcBehaviour) want() int {
	if b.unsent {
		return 0
	}
	return len(b.calls)
}

// leaves says whether the client leaves a handler behind.
func (b rpcBehaviour) leaves() bool {
	return slices.ContainsFunc(b.calls, func(r rpc) bool { return r.leave != stays || r.code == codes.DeadlineExceeded })
}

// send carries a behaviour out and returns the time in which its spans must lie. Where the client leaves a handler behind, ended is to wait for
// that one's end: the connection stays until then, so that it is not this that ends it.
func (b rpcBehaviour) send(addr string, secure bool, ended func()) (w testenv.Window, err error) {
	authority := b.authority
	if authority == "" {
		authority = "remora.test:8080"
	}
	conn, err := connectGRPC(addr, secure, authority)
	if err != nil {
		return w, err
	}
	if err := ready(conn); err != nil { // or the order of the first calls is not known
		return w, err
	}
	w.From = time.Now()
	errs := make(chan error, len(b.calls))
	for _, r := range b.calls {
		begun := make(chan struct{})
		r.begun = sync.OnceFunc(func() { close(begun) })
		go func() {
			got, err := r.do(conn)
			if err == nil {
				err = r.check(got)
			}
			errs <- err
		}()
		<-begun // or the order of their starts is not known
	}
	for range b.calls {
		err = errors.Join(err, <-errs)
	}
	if b.leaves() {
		ended()
	} else {
		time.Sleep(testenv.Patient(lag))
	}
	w.To = time.Now()
	conn.Close()
	time.Sleep(10 * time.Millisecond) // well apart from the next one
	return w, err
}

var grpcListeners = []string{"plain", "tls", "workers", "http-tls", "h2c"}

// listeners are those that are tried: of versions between the oldest and the newest, one of each kind of server.
func (b grpcBuild) listeners() []string {
	if ends := relayBuilds(); *allGRPC || b.version == ends[0].version || b.version == ends[1].version {
		return grpcListeners
	}
	return []string{"plain", "http-tls"}
}

// TestGRPCServer compares the spans of every behaviour of a gRPC server with testdata/grpcserver.golden: the same for all versions, with TLS
// and without, with workers for its streams, and through net/http's server, whose own span is then between the caller's and the server's.
func TestGRPCServer(t *testing.T) {
	testenv.RequireRoot(t)
	for _, b := range grpcBuilds() {
		t.Run(b.spec.String(), func(t *testing.T) {
			target, agent, sink := traceGRPC(t, b)
			for _, listener := range b.listeners() {
				t.Run(listener, func(t *testing.T) { testRPCs(t, b, target, sink, listener) })
			}
			checkGRPCEnd(t, target, agent)
		})
	}
}

func testRPCs(t *testing.T, b grpcBuild, target *testenv.Target, sink *testenv.Sink, listener string) {
	http := listener == "http-tls" || listener == "h2c"
	before := []exchange{{want: sink.Len()}} // on other listeners
	sent := before
	for _, behaviour := range rpcBehaviours() {
		want := behaviour.want()
		if http {
			want *= 2
		}
		sent = append(sent, exchange{name: behaviour.name, want: want})
		ended := func() { sink.Wait(t, wanted(sent), 10*time.Second) }
		w, err := behaviour.send(target.Addr(listener), listener == "tls" || listener == "http-tls", ended)
		if err != nil {
			t.Errorf("%s: %v", behaviour.name, err)
		}
		sent[len(sent)-1].window = w
	}
	sink.Wait(t, wanted(sent), 10*time.Second)
	time.Sleep(testenv.Patient(300 * time.Millisecond)) // for what must not come
	spans := sink.Spans()[wanted(before):]
	sent = sent[len(before):]
	if http {
		sent, spans = withoutHTTP(t, sent, spans)
	}
	sections := sectionsOf(t, sent, spans, canonical(target.Addr(listener)))
	compare := testenv.CompareGolden
	if listener == "plain" { // the others make no difference, so they must not write one down
		compare = testenv.Golden
	}
	compare(t, "testdata/grpcserver.golden", b.overlay("testdata/grpcserver.golden"), sections)
}

// sectionsOf checks number and times of the spans of what was sent, and writes them down.
func sectionsOf(t *testing.T, sent []exchange, spans []testenv.Span, canon *testenv.Canonical) []testenv.Section {
	t.Helper()
	var sections []testenv.Section
	for _, e := range sent {
		mine := during(spans, e.window)
		if len(mine) != e.want {
			t.Errorf("%s: got %d spans, want %d", e.name, len(mine), e.want)
		}
		for _, s := range mine {
			if err := e.window.CheckTimes(s); err != nil {
				t.Errorf("%s: %v", e.name, err)
			}
		}
		c := *canon // IDs begin anew
		sections = append(sections, testenv.Section{Name: e.name, Text: c.Text(mine) + "\n"})
	}
	return sections
}

// withoutHTTP takes out the spans of net/http, each of which must be the parent of one of gRPC, which gets its parent instead.
func withoutHTTP(t *testing.T, sent []exchange, spans []testenv.Span) ([]exchange, []testenv.Span) {
	t.Helper()
	sent = slices.Clone(sent)
	for i := range sent {
		sent[i].want /= 2
	}
	outer := map[string]testenv.Span{}
	for _, s := range spans {
		if testenv.Attributes(s.Attributes)["http.request.method"] != "" {
			outer[string(s.TraceId)+string(s.SpanId)] = s
		}
	}
	var inner []testenv.Span
	for _, s := range spans {
		if testenv.Attributes(s.Attributes)["http.request.method"] != "" {
			continue
		}
		parent, ok := outer[string(s.TraceId)+string(s.ParentSpanId)]
		if !ok {
			t.Errorf("%s has the parent %x, which is no HTTP request", s.Name, s.ParentSpanId)
			continue
		}
		s.ParentSpanId, s.Flags = parent.ParentSpanId, parent.Flags
		inner = append(inner, s)
	}
	return sent, inner
}

// checkGRPCEnd: nothing is lost or left behind, and both processes are well.
func checkGRPCEnd(t *testing.T, target *testenv.Target, agent *testenv.Agent) {
	t.Helper()
	if n := dropped(t, agent); n != 0 {
		t.Errorf("agent counts %d drops", n)
	}
	if !testenv.Within(5*time.Second, func() bool { return operations(t, agent.PID) == 0 }) {
		t.Errorf("%d operations are left behind", operations(t, agent.PID))
	}
	if code := agent.Stop(t); code != 0 {
		t.Errorf("agent ended with %d on SIGTERM, want 0", code)
	}
	if target.Exited() {
		t.Errorf("target is gone:\n%s", target.Output())
	}
}
