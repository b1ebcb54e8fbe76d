package inside

import (
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/remora-agent/remora/internal/testenv"
)

// TestTrace follows one server of each Go version through agents that come and go.
func TestTrace(t *testing.T) {
	testenv.RequireRoot(t)
	for _, v := range goVersions() {
		t.Run("go"+v, func(t *testing.T) { testTrace(t, fixture(t, v)) })
	}
}

func testTrace(t *testing.T, bin string) {
	target := testenv.StartTarget(t, bin, nil)
	attach := func(sink *testenv.Sink) *testenv.Agent {
		agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", strconv.Itoa(target.PID)}})
		agent.WaitTraced(t, target.PID)
		return agent
	}

	sink := testenv.NewSink(t)
	agent := attach(sink)
	requests(t, target, 10, 20)
	want := 200
	checkSpans(t, sink.Wait(t, want, 30*time.Second), want)
	if n := agent.Metric(t, "remora_spans_dropped_total"); n != 0 {
		t.Errorf("agent counts %v drops", n)
	}
	stop(t, agent)

	started := time.Now()
	for i := 0; i < 10; i++ {
		agent := attach(sink)
		requests(t, target, 1, 1)
		want++
		sink.Wait(t, want, 10*time.Second)
		stop(t, agent)
	}
	t.Logf("10 agents came and went in %v", time.Since(started).Round(time.Millisecond))
	checkSpans(t, sink.Spans(), want)

	attach(sink).Kill(t)
	requests(t, target, 2, 10)
	checkSpans(t, sink.Spans(), want)
	if target.Exited() {
		t.Errorf("target is gone:\n%s", target.Output())
	}
}

func stop(t *testing.T, agent *testenv.Agent) {
	t.Helper()
	if code := agent.Stop(t); code != 0 {
		t.Errorf("agent ended with %d on SIGTERM, want 0:\n%s", code, agent.Output())
	}
}

// requests sends n requests on each of conns connections; all must be answered.
func requests(t *testing.T, target *testenv.Target, conns, n int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	var group sync.WaitGroup
	for range conns {
		group.Go(func() {
			for range n {
				resp, err := client.Post(target.URL("/hello"), "text/plain", nil) // POST: never sent again by the client itself
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

// checkSpans fails when there are not exactly n spans, each of a trace of its own.
func checkSpans(t *testing.T, spans []testenv.Span, n int) {
	t.Helper()
	if len(spans) != n {
		t.Errorf("got %d spans, want %d", len(spans), n)
	}
	traces := map[string]bool{}
	for _, s := range spans {
		if s.Name != "POST /hello" || traces[string(s.TraceId)] {
			t.Errorf("got span %q of trace %x, want POST /hello, each of another trace", s.Name, s.TraceId)
		}
		traces[string(s.TraceId)] = true
	}
}
