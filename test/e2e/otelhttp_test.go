package e2e

import (
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/remora-agent/remora/internal/testenv"
)

// TestInjectBesideSDK: a program that traces itself with otelhttp sends its own traceparent and no second one, and the CLIENT span is a child of what it
// says.
func TestInjectBesideSDK(t *testing.T) {
	testenv.RequireInjection(t)
	testBesideSDK(t)
}

// TestBesideSDK is the same where nothing is injected.
func TestBesideSDK(t *testing.T) { testBesideSDK(t, "REMORA_PROPAGATION=none") }

func testBesideSDK(t *testing.T, env ...string) {
	testenv.RequireRoot(t)
	carried := make(chan []string, 1)
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		carried <- append([]string{r.Proto}, r.Header["Traceparent"]...)
	}))
	upstream.EnableHTTP2 = true
	upstream.StartTLS()
	t.Cleanup(upstream.Close)
	plain := httptest.NewServer(upstream.Config.Handler)
	t.Cleanup(plain.Close)

	sink := testenv.NewSink(t)
	target := testenv.StartTarget(t, testenv.Build(t, testenv.BuildSpec{Dir: "testdata/otelhttp", Go: newest(), Stripped: true}), nil)
	agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", strconv.Itoa(target.PID)}, Env: env})
	agent.WaitTraced(t, target.PID)
	for _, to := range []struct{ proto, url string }{{"HTTP/1.1", plain.URL}, {"HTTP/2.0", upstream.URL}} {
		t.Run(to.proto, func(t *testing.T) {
			before := sink.Len()
			callOnce(t, target, "", to.url, http.Header{"Traceparent": {traceparent}})
			got := <-carried
			if len(got) != 2 || got[0] != to.proto || len(got[1]) != len(traceparent) || got[1] == traceparent {
				t.Fatalf("the wire carries %q, want one that is the SDK's", got)
			}
			spans := sink.Wait(t, before+2, 10*time.Second)[before:]
			for _, s := range spans {
				parent := traceparent
				if s.Kind == tracepb.Span_SPAN_KIND_CLIENT {
					parent = got[1]
				}
				if trace, id := hex.EncodeToString(s.TraceId), hex.EncodeToString(s.ParentSpanId); trace != parent[3:35] || id != parent[36:52] {
					t.Errorf("%v span in trace %s has parent %s, want %s", s.Kind, trace, id, parent)
				}
			}
			if len(spans) != 2 || spans[0].Kind == spans[1].Kind {
				t.Errorf("%d spans: %v", len(spans), spans)
			}
		})
	}
}
