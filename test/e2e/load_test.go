package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/remora-agent/remora/internal/testenv"
)

// traced starts the fixture and an agent that traces it.
func traced(t *testing.T, spec testenv.BuildSpec) (*testenv.Target, *testenv.Agent, *testenv.Sink) {
	t.Helper()
	bin := httpServer(t, spec)
	sink := testenv.NewSink(t)
	target := testenv.StartTarget(t, bin, nil)
	agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", strconv.Itoa(target.PID)}})
	agent.WaitTraced(t, target.PID)
	return target, agent, sink
}

// load sends n requests for each of conns keep-alive connections; a panicking handler ends its connection, which is opened anew.
func load(t *testing.T, target *testenv.Target, path string, conns, n int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns}, Timeout: testenv.Patient(20 * time.Second)}
	defer client.CloseIdleConnections()
	var group sync.WaitGroup
	for c := 0; c < conns; c++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := 0; i < n; i++ {
				resp, err := client.Post(target.URL(path), "text/plain", nil) // POST: never sent again by the client itself
				if err != nil {
					continue // a panic
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		}()
	}
	group.Wait()
}

// checkSpans fails when there are not exactly n SERVER spans, or a trace or span ID comes twice.
func checkSpans(t *testing.T, spans []testenv.Span, n int) {
	t.Helper()
	if len(spans) != n {
		t.Errorf("got %d spans, want %d", len(spans), n)
	}
	traces, ids := map[string]bool{}, map[string]bool{}
	for _, s := range spans {
		if s.Kind.String() != "SPAN_KIND_SERVER" {
			t.Errorf("span %q has kind %v", s.Name, s.Kind)
		}
		if traces[string(s.TraceId)] || ids[string(s.SpanId)] {
			t.Errorf("trace %x span %x comes twice", s.TraceId, s.SpanId)
		}
		traces[string(s.TraceId)], ids[string(s.SpanId)] = true, true
	}
}

// dropped is the number of spans that the agent says it lost.
func dropped(t *testing.T, a *testenv.Agent) int {
	t.Helper()
	return int(a.Metric(t, "remora_spans_dropped_total"))
}

// TestEveryRequestIsASpan: 2,000 requests from 50 connections to a stripped server.
func TestEveryRequestIsASpan(t *testing.T) {
	testenv.RequireRoot(t)
	for _, version := range []string{"1.26.8", "1.27.4"} {
		t.Run("go"+version, func(t *testing.T) {
			target, agent, sink := traced(t, testenv.BuildSpec{Go: version, Stripped: true})
			load(t, target, "/hello", 50, 40)
			spans := sink.Wait(t, 2000, 20*time.Second)
			checkSpans(t, spans, 2000)
			if n := dropped(t, agent); n != 0 {
				t.Errorf("agent counts %d drops", n)
			}
		})
	}
}

// TestSpansAndDropsAreRequests: at a rate that nothing keeps up with, what is not a span is a counted drop.
func TestSpansAndDropsAreRequests(t *testing.T) {
	testenv.RequireRoot(t)
	target, agent, sink := traced(t, testenv.BuildSpec{Go: "1.26.8", Stripped: true})
	sent := flood(t, target.Addr("plain"), 16, 3*time.Second)
	accounted := func() int { return sink.Len() + dropped(t, agent) }
	testenv.Within(30*time.Second, func() bool { return accounted() >= sent })
	time.Sleep(testenv.Patient(300 * time.Millisecond))
	t.Logf("%d requests, %d spans, %d drops", sent, sink.Len(), dropped(t, agent))
	if got := accounted(); got != sent {
		t.Errorf("%d spans + %d drops = %d, want %d requests", sink.Len(), dropped(t, agent), got, sent)
	}
}

// flood sends pipelined requests as fast as it can for a while, and returns how many were answered.
func flood(t *testing.T, addr string, conns int, d time.Duration) int {
	t.Helper()
	const batch = 32
	var requests string
	for i := 0; i < batch; i++ {
		requests += keepAlive("GET", "/silent")
	}
	end := time.Now().Add(d)
	answered := make(chan int)
	for c := 0; c < conns; c++ {
		go func() {
			n, err := floodOne(addr, requests, batch, end)
			if err != nil {
				t.Error(err)
			}
			answered <- n
		}()
	}
	total := 0
	for c := 0; c < conns; c++ {
		total += <-answered
	}
	return total
}

func floodOne(addr, requests string, batch int, end time.Time) (answered int, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for time.Now().Before(end) {
		if _, err := io.WriteString(conn, requests); err != nil {
			return answered, fmt.Errorf("send: %w", err)
		}
		for i := 0; i < batch; i++ {
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				return answered, fmt.Errorf("read answer: %w", err)
			}
			resp.Body.Close()
			answered++
		}
	}
	return answered, nil
}

// TestPanicsLeaveNothingBehind: 1,000 panicking requests, then 1,000 normal ones on the goroutines that follow.
func TestPanicsLeaveNothingBehind(t *testing.T) {
	testenv.RequireRoot(t)
	target, agent, sink := traced(t, testenv.BuildSpec{Go: "1.26.8", Stripped: true})
	load(t, target, "/panic/string", 10, 100)
	load(t, target, "/hello", 10, 100)
	spans := sink.Wait(t, 2000, 20*time.Second)
	checkSpans(t, spans, 2000)
	failed := 0
	for _, s := range spans {
		if s.Status.GetCode().String() == "STATUS_CODE_ERROR" {
			failed++
		}
	}
	if failed != 1000 {
		t.Errorf("%d spans with status Error, want the 1000 panics", failed)
	}
	if n := dropped(t, agent); n != 0 {
		t.Errorf("agent counts %d drops", n)
	}
}
