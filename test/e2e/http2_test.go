package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remora-agent/remora/internal/testenv"
)

// http2Builds are the programs of testdata/xnet: golang.org/x/net 0.12 with every Go, and what is new with those that can build it.
func http2Builds() []testenv.BuildSpec {
	var specs []testenv.BuildSpec
	for i := len(goVersions) - 1; i >= 0; i-- {
		specs = append(specs, testenv.BuildSpec{Dir: "testdata/xnet", Go: goVersions[i], Stripped: true})
	}
	return append(specs,
		testenv.BuildSpec{Dir: "testdata/xnet", Go: "1.26.8", Stripped: true, ModFile: "wrapped.mod"},
		testenv.BuildSpec{Dir: "testdata/xnet", Go: newest(), Stripped: true, ModFile: "wrapped.mod"},
		testenv.BuildSpec{Dir: "testdata/xnet", Go: newest(), Stripped: true, PIE: true},
	)
}

// traceXnet starts the fixture and an agent that traces it.
func traceXnet(t *testing.T, spec testenv.BuildSpec, env ...string) (*testenv.Target, *testenv.Agent, *testenv.Sink) {
	t.Helper()
	bin := testenv.Build(t, spec)
	sink := testenv.NewSink(t)
	target := testenv.StartTarget(t, bin, nil)
	agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", strconv.Itoa(target.PID)}, Env: env})
	agent.WaitTraced(t, target.PID)
	return target, agent, sink
}

// An http2Request is sent to every listener of the fixture that speaks HTTP/2.
type http2Request struct {
	name, method, path string
	header             http.Header
	body               string
	fails              bool // there is no whole answer
	leaves             bool // the client leaves while the handler runs
}

func http2Requests() []http2Request {
	parent := http.Header{"Traceparent": {traceparent}, "Tracestate": {"vendor=1"}}
	all := []http2Request{
		{name: "GET", path: "/hello"},
		{name: "query", path: "/hello?a=1&sig=secret"},
		{name: "no route", path: "/nowhere"},
		{name: "HEAD", method: "HEAD", path: "/hello"},
		{name: "POST", method: "POST", path: "/echo?header=0", body: "a body"},
		{name: "unknown method", method: "PROPFIND", path: "/hello"},
		{name: "silent", path: "/silent"},
		{name: "big", path: "/big"},
		{name: "trailers", method: "POST", path: "/trailers", body: "a body"},
		{name: "a copy of the request", path: "/copied"},
		{name: "remote parent", path: "/hello", header: parent},
		{name: "forwarded", path: "/hello", header: http.Header{"Forwarded": {"for=192.0.2.1;proto=https;host=example.com"}, "User-Agent": {"somebody/1.0"}}},
		{name: "panic", path: "/panic", fails: true},
		{name: "panic behind the header", path: "/late", fails: true},
		{name: "abort", path: "/abort", fails: true},
		{name: "client leaves", path: "/wait", fails: true, leaves: true},
	}
	for _, code := range []int{204, 404, 500, 503} {
		all = append(all, http2Request{name: fmt.Sprint("status ", code), path: fmt.Sprint("/status/", code)})
	}
	return all
}

// TestHTTP2Server compares the spans of HTTP/2 requests with testdata/http2.golden, the same for each listener.
func TestHTTP2Server(t *testing.T) {
	testenv.RequireRoot(t)
	for i, spec := range http2Builds() {
		t.Run(spec.String(), func(t *testing.T) {
			target, agent, sink := traceXnet(t, spec)
			for k, listener := range []string{"tls", "configured", "h2c", "native"} {
				if target.Addr(listener) == "" {
					continue // native is from Go 1.24 on
				}
				t.Run(listener, func(t *testing.T) {
					compare := testenv.CompareGolden
					if i == 0 && k == 0 {
						compare = testenv.Golden
					}
					compare(t, "testdata/http2.golden", "", http2Sections(t, target, sink, listener))
				})
			}
			if lost := agent.Metric(t, "remora_spans_dropped_total"); lost != 0 {
				t.Errorf("%v spans are lost", lost)
			}
		})
	}
}

// http2Sections sends all requests to a listener and returns their spans as text.
func http2Sections(t *testing.T, target *testenv.Target, sink *testenv.Sink, listener string) []testenv.Section {
	t.Helper()
	encrypted := listener == "tls" || listener == "configured"
	client := insecureClient(!encrypted)
	defer client.CloseIdleConnections()
	base := "http://" + target.Addr(listener)
	if encrypted {
		base = "https://" + target.Addr(listener)
	}
	var sections []testenv.Section
	for _, r := range http2Requests() {
		before, from := sink.Len(), time.Now()
		if err := r.send(client, base); (err != nil) != r.fails {
			t.Errorf("%s: %v", r.name, err)
		}
		spans := sink.Wait(t, before+1, testenv.Patient(10*time.Second))[before:]
		if len(spans) != 1 {
			t.Errorf("%s: %d spans, want 1", r.name, len(spans))
		}
		w := testenv.Window{From: from, To: time.Now()}
		canon := canonical(target.Addr("plain"))
		_, port, _ := strings.Cut(target.Addr(listener), ":")
		canon.ServerPort = port
		for _, s := range spans {
			if err := w.CheckTimes(s); err != nil {
				t.Errorf("%s: %v", r.name, err)
			}
		}
		text := canon.Text(spans)
		if !encrypted {
			text = strings.ReplaceAll(text, `url.scheme = "http"`, `url.scheme = "https"`) // all else is the same
		}
		sections = append(sections, testenv.Section{Name: r.name, Text: text + "\n"})
	}
	return sections
}

func (r http2Request) send(client *http.Client, base string) error {
	var body io.Reader
	if r.body != "" {
		body = struct{ io.Reader }{strings.NewReader(r.body)}
	}
	req, err := http.NewRequest(r.method, base+r.path, body)
	if err != nil {
		return err
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if r.leaves {
		leaving := *client
		leaving.Timeout = testenv.Patient(100 * time.Millisecond)
		client = &leaving
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	if err == nil && resp.ProtoMajor != 2 {
		return fmt.Errorf("it is %s", resp.Proto)
	}
	return err
}

// TestHTTP2Streams: 1,000 streams at once are 1,000 spans, and leave nothing behind.
func TestHTTP2Streams(t *testing.T) {
	testenv.RequireRoot(t)
	const streams = 1000
	for _, spec := range http2Builds() {
		for _, listener := range []string{"tls", "h2c"} {
			t.Run(spec.String()+" "+listener, func(t *testing.T) {
				target, agent, sink := traceXnet(t, spec)
				client := insecureClient(listener == "h2c")
				defer client.CloseIdleConnections()
				base := map[string]string{"tls": "https://", "h2c": "http://"}[listener] + target.Addr(listener)
				var group sync.WaitGroup
				for range streams {
					group.Go(func() {
						if err := (http2Request{method: "GET", path: "/hello"}).send(client, base); err != nil {
							t.Error(err)
						}
					})
				}
				group.Wait()
				checkSpans(t, sink.Wait(t, streams, testenv.Patient(10*time.Second)), streams)
				if lost := agent.Metric(t, "remora_spans_dropped_total"); lost != 0 {
					t.Errorf("%v spans are lost", lost)
				}
			})
		}
	}
}
