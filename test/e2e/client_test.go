package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remora-agent/remora/internal/testenv"
)

// A clientCall is one way for the fixture to call the upstream.
type clientCall struct {
	name  string
	how   string // a way of testdata/httpclient
	to    string
	spans int // with the SERVER span of what made it call; two if zero
	since int // first Go 1.N in which it exists
}

func clientCalls(u *upstream) []clientCall {
	plain := u.http1.URL
	withUser := strings.Replace(plain, "http://", "http://me:secret@", 1)
	dead := "http://" + u.refused
	all := []clientCall{
		{name: "GET", how: "get", to: plain + "/path"},
		{name: "GET of the root", how: "get", to: plain},
		{name: "query with secrets", how: "get", to: plain + "/path?a=1&sig=secret&X-Goog-Signature=secret&b=%20"},
		{name: "user and password", how: "get", to: withUser + "/path"},
		{name: "escaped path and fragment", how: "get", to: plain + "/a%2Fb/%20c#part"},
		{name: "POST", how: "post", to: plain + "/path"},
		{name: "body of unknown length", how: "chunked", to: plain + "/path"},
		{name: "Expect: 100-continue", how: "expect", to: plain + "/path"},
		{name: "HEAD", how: "head", to: plain + "/path"},
		{name: "unknown method", how: "method", to: plain + "/path"},
		{name: "opaque URL", how: "opaque", to: plain + "/path"},
		{name: "many headers", how: "manyheaders", to: plain + "/path"},
		{name: "long URL", how: "get", to: plain + "/" + strings.Repeat("long", 1100)},
		{name: "carries a traceparent", how: "carries", to: plain + "/path"},
		{name: "redirects followed", how: "get", to: plain + "/redirect", spans: 4},
		{name: "redirect not followed", how: "noredirect", to: plain + "/redirect"},
		{name: "Transport itself", how: "transport", to: plain + "/path"},
		{name: "RoundTripper around it", how: "wrapped", to: plain + "/path"},
		{name: "reverse proxy", how: "proxy", to: plain + "/path"},
		{name: "Unix socket", how: "unix", to: u.socket},
		{name: "TLS, HTTP/1.1", how: "insecure", to: u.tls.URL + "/path"},
		{name: "HTTP/2", how: "http2", to: u.tls.URL + "/path", spans: 3},
		{name: "HTTP/2 with trailers", how: "trailers", to: u.tls.URL + "/path"},
		{name: "HTTP/2, status 500", how: "http2", to: u.tls.URL + "/status/500", spans: 3},
		{name: "HTTP/2, refused", how: "http2", to: "https://" + u.refused + "/path", spans: 3},
		{name: "HTTP/2, deadline", how: "h2deadline", to: u.tls.URL + "/slow"},
		{name: "cancelled before", how: "late", to: plain + "/path"},
		{name: "IPv6 host", how: "get", to: "http://[::1]:" + portOf(u.refused) + "/path"},
		{name: "TLS to a plain server", how: "get", to: strings.Replace(plain, "http:", "https:", 1) + "/path"},
		{name: "POST redirected", how: "post", to: plain + "/redirect", spans: 4},
		{name: "again on a new connection", how: "retry", to: "http://" + u.flaky.Addr().String() + "/flaky", spans: 3},
		{name: "refused", how: "get", to: dead + "/path"},
		{name: "no such host", how: "get", to: "http://nowhere.invalid/path"},
		{name: "no such scheme", how: "get", to: "gopher://nowhere.invalid/path"},
		{name: "certificate of nobody", how: "get", to: u.tls.URL + "/path"},
		{name: "closed without an answer", how: "get", to: "http://" + u.closes.Addr().String() + "/path"},
		{name: "answer that is no HTTP", how: "get", to: "http://" + u.garbage.Addr().String() + "/path"},
		{name: "timeout of the client", how: "timeout", to: plain + "/slow"},
		{name: "deadline", how: "deadline", to: plain + "/slow"},
		{name: "cancelled", how: "cancel", to: plain + "/slow"},
		{name: "parent: no context", how: "nocontext", to: plain + "/path"},
		{name: "parent: background", how: "background", to: plain + "/path"},
		{name: "parent: goroutine without context", how: "goroutine", to: plain + "/path"},
		{name: "parent: two goroutines with the context", how: "fanout", to: plain + "/path", spans: 3},
	}
	for _, code := range []int{201, 204, 304, 400, 404, 500, 503} {
		all = append(all, clientCall{name: fmt.Sprint("status ", code), how: "get", to: fmt.Sprintf("%s/status/%d", plain, code)})
	}
	for _, how := range []string{"values", "embedded", "second", "byvalue", "inner", "behind", "field", "ginlike"} {
		all = append(all, clientCall{name: "context " + how, how: how, to: plain + "/path"})
	}
	for _, how := range []string{"withoutcancel", "cause", "afterfunc"} {
		all = append(all, clientCall{name: "context " + how, how: how, to: plain + "/path", since: 21})
	}
	return all
}

// TestHTTPClient compares the spans of every way to call with testdata/client.golden: the SERVER span of what made the fixture
// call, and the CLIENT spans. A connection of its own for each: what a goroutine's creator says depends on that.
func TestHTTPClient(t *testing.T) {
	testenv.RequireRoot(t)
	for i := len(goVersions) - 1; i >= 0; i-- {
		spec := testenv.BuildSpec{Go: goVersions[i], Stripped: true}
		t.Run(spec.String(), func(t *testing.T) { testCalls(t, spec, noPreparation) })
	}
	for _, spec := range []testenv.BuildSpec{{Go: newest(), PIE: true, Stripped: true}, {Go: newest(), External: true}} {
		t.Run(spec.String(), func(t *testing.T) { testCalls(t, spec, noPreparation) })
	}
}

func noPreparation(int) {}

// TestHTTPClientUnreadable: what each second call is cannot be read where it begins. It is read later, and its spans are the same.
func TestHTTPClientUnreadable(t *testing.T) {
	testenv.RequireRoot(t)
	for _, version := range []string{goVersions[0], newest()} {
		spec := testenv.BuildSpec{Go: version, Stripped: true}
		t.Run(spec.String(), func(t *testing.T) { testCalls(t, spec, noPreparation, "REMORA_TEST_FAIL_READ=2") })
	}
}

// testCalls calls before with the fixture's process before each call. env is the agent's.
func testCalls(t *testing.T, spec testenv.BuildSpec, before func(pid int), env ...string) {
	variant := spec
	spec.Dir = "testdata/httpclient"
	bin := testenv.Build(t, spec)
	sink := testenv.NewSink(t)
	u := startUpstream(t)
	target := testenv.StartTarget(t, bin, nil)
	agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", strconv.Itoa(target.PID)}, Env: append(env, "REMORA_PROPAGATION=none")})
	agent.WaitTraced(t, target.PID)
	minor := minorOf(spec.Go)
	var sections []testenv.Section
	for _, c := range clientCalls(u) {
		if c.since > minor {
			continue
		}
		before(target.PID)
		text := c.make(t, target, sink, u)
		sections = append(sections, testenv.Section{Name: c.name, Text: text + "\n"})
	}
	compareGolden(t, "client", spec.Go, !variant.PIE && !variant.External, sections)
	if n := agent.Metric(t, "remora_headers_unsearched_total"); n != 0 {
		t.Errorf("%v header maps were too large to search", n)
	}
	if code := agent.Stop(t); code != 0 {
		t.Errorf("agent ended with %d on SIGTERM, want 0", code)
	}
	if target.Exited() {
		t.Errorf("target is gone:\n%s", target.Output())
	}
}

// make has the fixture make the call and returns its spans as text.
func (c clientCall) make(t *testing.T, target *testenv.Target, sink *testenv.Sink, u *upstream) string {
	t.Helper()
	before := sink.Len()
	w := testenv.Window{From: time.Now()}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: testenv.Patient(20 * time.Second)}
	resp, err := client.Get(target.URL("/call?how=" + c.how + "&to=" + url.QueryEscape(c.to)))
	if err != nil {
		t.Errorf("%s: %v", c.name, err)
		return ""
	}
	answer, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s: %s", c.name, resp.Status, answer)
	}
	w.To = time.Now()
	want := max(2, c.spans)
	spans := sink.Wait(t, before+want, testenv.Patient(10*time.Second))[before:]
	if len(spans) != want {
		t.Errorf("%s: %d spans, want %d", c.name, len(spans), want)
	}
	canon := canonical(target.Addr("plain"))
	canon.Ports = u.ports()
	for i, s := range spans {
		if err := w.CheckTimes(s); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		spans[i] = withoutCall(s)
	}
	return canon.Text(spans)
}

// withoutCall leaves out the query of the SERVER span, which says how to call.
func withoutCall(s testenv.Span) testenv.Span {
	if s.Kind.String() != "SPAN_KIND_SERVER" {
		return s
	}
	kept := s.Attributes[:0]
	for _, kv := range s.Attributes {
		switch kv.Key {
		case "http.route", "url.scheme", "http.response.status_code":
			kept = append(kept, kv)
		}
	}
	s.Attributes = kept
	return s
}

// TestWorkerPool: eight workers make the calls of many requests. With the context in the job, the parent is the request; without,
// there is none, although the workers' creator and the requests' goroutines have operations of their own.
func TestWorkerPool(t *testing.T) {
	testenv.RequireRoot(t)
	const requests, conns = 10000, 16
	for _, version := range []string{"1.18.10", newest()} {
		for _, context := range []string{"request", "none"} {
			t.Run(version+" "+context, func(t *testing.T) {
				bin := testenv.Build(t, testenv.BuildSpec{Dir: "testdata/httpclient", Go: version, Stripped: true})
				sink, u := testenv.NewSink(t), startUpstream(t)
				target := testenv.StartTarget(t, bin, nil)
				agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", strconv.Itoa(target.PID)}, Env: []string{"REMORA_PROPAGATION=none", "OTEL_BSP_MAX_QUEUE_SIZE=65536"}})
				agent.WaitTraced(t, target.PID)
				askMany(t, target.URL("/jobs?context="+context+"&to="+url.QueryEscape(u.http1.URL)), conns, requests/conns)
				spans := sink.Wait(t, 2*requests, testenv.Patient(20*time.Second))
				checkPool(t, spans, requests, context == "request")
			})
		}
	}
}

// TestLentContext: a handler calls with the context of another request: that one is the call's parent, not the one that the goroutine serves.
func TestLentContext(t *testing.T) {
	testenv.RequireRoot(t)
	for _, version := range []string{"1.18.10", newest()} {
		t.Run(version, func(t *testing.T) {
			bin := testenv.Build(t, testenv.BuildSpec{Dir: "testdata/httpclient", Go: version, Stripped: true})
			sink, u := testenv.NewSink(t), startUpstream(t)
			target := testenv.StartTarget(t, bin, nil)
			agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", strconv.Itoa(target.PID)}, Env: []string{"REMORA_PROPAGATION=none"}})
			agent.WaitTraced(t, target.PID)
			var group sync.WaitGroup
			for _, how := range []string{"lend", "borrow"} {
				group.Go(func() { askMany(t, target.URL("/call?how="+how+"&to="+url.QueryEscape(u.http1.URL)), 1, 1) })
			}
			group.Wait()
			spans := sink.Wait(t, 3, testenv.Patient(10*time.Second))
			ids := map[string]string{} // of the SERVER spans, by their queries
			parent := ""
			for _, s := range spans {
				if s.Kind.String() == "SPAN_KIND_CLIENT" {
					parent = string(s.TraceId) + string(s.ParentSpanId)
					continue
				}
				for _, kv := range s.Attributes {
					if kv.Key == "url.query" {
						how, _, _ := strings.Cut(kv.Value.GetStringValue(), "&")
						ids[how] = string(s.TraceId) + string(s.SpanId)
					}
				}
			}
			if parent == "" || parent != ids["how=lend"] {
				t.Errorf("the call's parent is %x, want %x; it was made in %x", parent, ids["how=lend"], ids["how=borrow"])
			}
		})
	}
}

// checkPool: each SERVER span has its own CLIENT span as child, or the CLIENT spans are roots.
func checkPool(t *testing.T, spans []testenv.Span, requests int, children bool) {
	t.Helper()
	servers, calls := map[string]int{}, 0
	for _, s := range spans {
		if s.Kind.String() == "SPAN_KIND_SERVER" {
			servers[string(s.TraceId)+string(s.SpanId)] = 0
		}
	}
	for _, s := range spans {
		if s.Kind.String() != "SPAN_KIND_CLIENT" {
			continue
		}
		calls++
		if !children {
			if len(s.ParentSpanId) > 0 {
				t.Fatalf("a call without context has the parent %x", s.ParentSpanId)
			}
			continue
		}
		parent := string(s.TraceId) + string(s.ParentSpanId)
		if n, ok := servers[parent]; !ok || n > 0 {
			t.Fatalf("a call has the parent %x, which is no request or has a call already (%d)", s.ParentSpanId, n)
		}
		servers[parent]++
	}
	if len(servers) != requests || calls != requests {
		t.Errorf("%d SERVER and %d CLIENT spans, want %d of each", len(servers), calls, requests)
	}
}

// askMany asks for a URL n times on each of conns connections.
func askMany(t *testing.T, to string, conns, n int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns}, Timeout: testenv.Patient(20 * time.Second)}
	defer client.CloseIdleConnections()
	var group sync.WaitGroup
	for range conns {
		group.Go(func() {
			for range n {
				resp, err := client.Get(to)
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	group.Wait()
}
