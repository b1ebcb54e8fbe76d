package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/remora-agent/remora/internal/testenv"
)

// TestInjectSharedHeader: requests that share a header map cannot be told apart while they are written. Each carries its own context or
// none, which is counted, and never another one's.
func TestInjectSharedHeader(t *testing.T) {
	testenv.RequireInjection(t)
	for _, spec := range injectBuilds("testdata/httpclient") {
		t.Run(spec.String(), func(t *testing.T) {
			target, agent, sink, upstream := startInjected(t, spec)
			const rounds, requests = 10, 16
			without := 0
			for range rounds {
				before := sink.Len()
				callOnce(t, target, "shared", "http://"+upstream.Addr().String(), nil)
				got := upstream.taken()
				spans := sink.Wait(t, before+1+requests, testenv.Patient(10*time.Second))[before:]
				if len(got) != requests {
					t.Errorf("%d requests, want %d", len(got), requests)
				}
				without += checkShared(t, got, callsByPath(spans), upstream.Addr().String())
			}
			if n := agent.Metric(t, "remora_propagation_failed_total"); int(n) != without {
				t.Errorf("%d requests carry nothing, %v are counted", without, n)
			}
		})
	}
}

// checkShared returns how many requests carry nothing.
func checkShared(t *testing.T, got [][]byte, calls map[string]string, host string) (without int) {
	t.Helper()
	for _, raw := range got {
		path := strings.Fields(string(raw))[1]
		traceparents, _, rest := carried(raw)
		plain := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Go-http-client/1.1\r\nX-Shared: by all\r\nAccept-Encoding: gzip\r\n\r\n", path, host)
		if string(rest) != plain {
			t.Errorf("%s is damaged: %q", path, raw)
		}
		switch {
		case len(traceparents) == 0:
			without++
		case len(traceparents) > 1 || traceparents[0] != calls[path]:
			t.Errorf("%s carries %q, its span is %s", path, traceparents, calls[path])
		}
	}
	return without
}

// callsByPath returns the traceparent of each CLIENT span by the path of its URL.
func callsByPath(spans []testenv.Span) map[string]string {
	calls := map[string]string{}
	for _, s := range spans {
		if s.Kind.String() != "SPAN_KIND_CLIENT" {
			continue
		}
		full, err := strconv.Unquote(testenv.Attributes(s.Attributes)["url.full"])
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(full, "://")
		calls[rest[strings.IndexByte(rest, '/'):]] = traceparentOf(s)
	}
	return calls
}

// TestInjectRetried: the Transport sends a request again when a connection was closed meanwhile. It is one call, so both carry the same.
func TestInjectRetried(t *testing.T) {
	testenv.RequireInjection(t)
	for _, spec := range injectBuilds("testdata/httpclient") {
		t.Run(spec.String(), func(t *testing.T) {
			target, _, sink, upstream := startInjected(t, spec)
			callOnce(t, target, "retry", "http://"+upstream.Addr().String()+"/flaky", nil)
			spans := sink.Wait(t, 3, testenv.Patient(10*time.Second))
			got := upstream.taken()
			if len(got) != 3 || len(spans) != 3 {
				t.Fatalf("%d requests and %d spans, want 3 of each", len(got), len(spans))
			}
			if !bytes.Equal(got[1], got[2]) {
				t.Errorf("sent first:\n%q\nthen:\n%q", got[1], got[2])
			}
			calls := map[string]bool{}
			for _, s := range spans {
				calls[traceparentOf(s)] = s.Kind.String() == "SPAN_KIND_CLIENT"
			}
			for i, raw := range got[:2] {
				traceparents, _, _ := carried(raw)
				if len(traceparents) != 1 || !calls[traceparents[0]] {
					t.Errorf("request %d carries %q, the spans are %v", i, traceparents, calls)
				} else {
					delete(calls, traceparents[0])
				}
			}
		})
	}
}

// TestInjectReverseProxy: what a proxy hands on it hands on unchanged, and what comes without context goes on with that of the CLIENT
// span.
func TestInjectReverseProxy(t *testing.T) {
	testenv.RequireInjection(t)
	target, agent, sink, upstream := startInjected(t, injectBuilds("testdata/httpclient")[1])
	to := "http://" + upstream.Addr().String() + "/path"
	callOnce(t, target, "proxy", to, nil)
	checkInjected(t, "proxy", upstream.taken(), proxied(target.Addr("plain")), sink.Wait(t, 2, testenv.Patient(10*time.Second)), nil)

	callOnce(t, target, "proxy", to, http.Header{"Traceparent": {traceparent}, "Tracestate": {"vendor=1"}})
	sink.Wait(t, 4, testenv.Patient(10*time.Second))
	for _, raw := range upstream.taken() {
		traceparents, states, rest := carried(raw)
		if fmt.Sprint(traceparents, states) != fmt.Sprint([]string{traceparent}, []string{"vendor=1"}) || !bytes.Equal(rest, proxied(target.Addr("plain"))[0]) {
			t.Errorf("the proxy hands on %q", raw)
		}
	}
	noneWithout(t, agent)
}

// proxied is what the fixture's proxy sends for a request of callOnce: its host stays the fixture's own.
func proxied(host string) [][]byte {
	return [][]byte{fmt.Appendf(nil, "GET /path HTTP/1.1\r\nHost: %s\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n", host)}
}

// TestInjectRatio: the flag on the wire is the SDK's decision for the trace ID on the wire, and sampled calls have a span.
func TestInjectRatio(t *testing.T) {
	testenv.RequireInjection(t)
	const requests, ratio = 60, 0.5
	target, _, sink, upstream := startInjected(t, injectBuilds("testdata/httpclient")[1], "OTEL_TRACES_SAMPLER=traceidratio", fmt.Sprint("OTEL_TRACES_SAMPLER_ARG=", ratio))
	want := map[string]bool{}
	for range requests {
		callOnce(t, target, "get", "http://"+upstream.Addr().String()+"/path", nil)
		traceparents, _, _ := carried(bytes.Join(upstream.taken(), nil))
		if len(traceparents) != 1 {
			t.Fatalf("carries %q, want one", traceparents)
		}
		id, err := trace.TraceIDFromHex(traceparents[0][3:35])
		if err != nil {
			t.Fatal(err)
		}
		sampled := sdkSamples(ratio, id)
		if sampled != strings.HasSuffix(traceparents[0], "-01") {
			t.Errorf("carries %s, the SDK says %t", traceparents[0], sampled)
		}
		if sampled {
			want[traceparents[0]] = true
		}
	}
	for _, s := range sink.Wait(t, 2*len(want), testenv.Patient(10*time.Second)) {
		delete(want, traceparentOf(s))
	}
	if len(want) > 0 {
		t.Errorf("on the wire, but no span: %v", want)
	}
}

// startInjected starts the fixture of clients, an agent that traces it, and what the fixture is to call.
func startInjected(t *testing.T, spec testenv.BuildSpec, env ...string) (*testenv.Target, *testenv.Agent, *testenv.Sink, *recorder) {
	t.Helper()
	target, agent, sink := traceXnet(t, spec, env...)
	return target, agent, sink, startRecorder(t)
}
