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

// TestEveryRequestIsASpan: 200 requests from 10 connections, with the oldest and the newest Go.
func TestEveryRequestIsASpan(t *testing.T) {
	testenv.RequireRoot(t)
	for _, v := range []string{goVersions()[0], newest()} {
		t.Run("go"+v, func(t *testing.T) {
			target, sink := testenv.StartTarget(t, fixture(t, v), nil), testenv.NewSink(t)
			agent := attach(t, target, sink)
			requests(t, target, 10, 20)
			checkSpans(t, sink.Wait(t, 200, 30*time.Second), 200)
			if n := agent.Metric(t, "remora_spans_dropped_total"); n != 0 {
				t.Errorf("agent counts %v drops", n)
			}
			stop(t, agent)
		})
	}
}

// TestAgentsComeAndGo: a server is traced by several agents one after the other, and serves on when the last is killed.
func TestAgentsComeAndGo(t *testing.T) {
	testenv.RequireRoot(t)
	target, sink := testenv.StartTarget(t, fixture(t, newest()), nil), testenv.NewSink(t)
	const agents = 4
	started := time.Now()
	for i := 1; i <= agents; i++ {
		agent := attach(t, target, sink)
		requests(t, target, 1, 1)
		sink.Wait(t, i, 10*time.Second)
		stop(t, agent)
	}
	t.Logf("%d agents came and went in %v", agents, time.Since(started).Round(time.Millisecond))

	attach(t, target, sink).Kill(t)
	requests(t, target, 2, 10)
	checkSpans(t, sink.Spans(), agents)
	if target.Exited() {
		t.Errorf("target is gone:\n%s", target.Output())
	}
}

// attach starts an agent and waits until it traces the target.
func attach(t *testing.T, target *testenv.Target, sink *testenv.Sink) *testenv.Agent {
	t.Helper()
	agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", strconv.Itoa(target.PID)}})
	agent.WaitTraced(t, target.PID)
	return agent
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
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns}, Timeout: testenv.Patient(20 * time.Second)}
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
