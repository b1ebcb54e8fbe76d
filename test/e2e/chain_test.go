package e2e

import (
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/remora-agent/remora/internal/testenv"
)

var requests = flag.Int("requests", 60, "how many requests of each kind the tests of injection send")

// TestChain: 1,000 requests through three processes, HTTP/1, then HTTP/2 over TLS, then h2c, are 1,000 traces, each call's SERVER span the
// child of its CLIENT span.
func TestChain(t *testing.T) {
	testenv.RequireRoot(t)
	testenv.RequireInjection(t)
	const requests = 1000
	for _, spec := range injectBuilds("testdata/xnet") {
		t.Run(spec.String(), func(t *testing.T) {
			first, agent, sink := startChain(t, spec, "OTEL_BSP_MAX_QUEUE_SIZE=65536")
			runChain(t, first, requests)
			spans := sink.Wait(t, 5*requests, testenv.Patient(20*time.Second))
			if n := checkChains(t, spans); n != requests {
				t.Errorf("%d traces, want %d", n, requests)
			}
			noneLost(t, agent)
			noneWithout(t, agent)
		})
	}
}

// noneLost fails when the agent counts spans that were lost.
func noneLost(t *testing.T, agent *testenv.Agent) {
	t.Helper()
	if lost := agent.Metric(t, "remora_spans_dropped_total"); lost != 0 {
		t.Errorf("%v spans are lost", lost)
	}
}

// noneWithout fails when the agent counts calls that went without trace context.
func noneWithout(t *testing.T, agent *testenv.Agent) {
	t.Helper()
	if without := withoutContext(t, agent); len(without) > 0 {
		t.Errorf("calls went without trace context: %v", without)
	}
}

// withoutContext returns how many calls went without trace context, by reason.
func withoutContext(t *testing.T, agent *testenv.Agent) map[string]int {
	t.Helper()
	without := map[string]int{}
	other := int(agent.Metric(t, "remora_propagation_failed_total"))
	for _, reason := range []string{"no_room", "shared_header", "unknown_writer", "memory_unwritable", "preempted"} {
		if n := int(agent.Metric(t, "remora_propagation_failed_total", "reason="+reason)); n > 0 {
			without[reason] = n
			other -= n
		}
	}
	if other != 0 {
		without["another reason"] = other
	}
	return without
}

// TestChainSampled: at a ratio of 0.1 each trace is whole or absent.
func TestChainSampled(t *testing.T) {
	testenv.RequireRoot(t)
	testenv.RequireInjection(t)
	first, agent, sink := startChain(t, injectBuilds("testdata/xnet")[1], "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.1")
	const requests = 500
	runChain(t, first, requests)
	testenv.Eventually(t, testenv.Patient(10*time.Second), "all operations end", func() bool {
		return int(agent.Metric(t, "remora_operations_unsampled_total"))+sink.Len() == 5*requests
	})
	if n := checkChains(t, sink.Spans()); n == 0 || n > requests/3 {
		t.Errorf("%d traces of %d are sampled", n, requests)
	}
}

// startChain starts three processes and an agent for all of them. It returns the URL that goes through them.
func startChain(t *testing.T, spec testenv.BuildSpec, env ...string) (string, *testenv.Agent, *testenv.Sink) {
	t.Helper()
	bin := testenv.Build(t, spec)
	sink := testenv.NewSink(t)
	var targets []*testenv.Target
	var args []string
	for range 3 {
		p := testenv.StartTarget(t, bin, nil)
		targets = append(targets, p)
		args = append(args, "--pid", strconv.Itoa(p.PID))
	}
	agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: args, Env: env})
	for _, p := range targets {
		agent.WaitTraced(t, p.PID)
	}
	end := "http://" + targets[2].Addr("h2c") + "/hello"
	middle := "https://" + targets[1].Addr("tls") + "/call?how=h2c&to=" + url.QueryEscape(end)
	return targets[0].URL("/call?how=http2&to=" + url.QueryEscape(middle)), agent, sink
}

// runChain sends n requests, 50 at a time.
func runChain(t *testing.T, to string, n int) {
	t.Helper()
	client := &http.Client{Timeout: testenv.Patient(20 * time.Second), Transport: &http.Transport{MaxIdleConnsPerHost: 50}}
	defer client.CloseIdleConnections()
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			for range n / 50 {
				resp, err := client.Get(to)
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Error(resp.Status)
				}
			}
		})
	}
	group.Wait()
}

// checkChains returns how many traces there are; each must be a chain of five spans, servers and clients in turn.
func checkChains(t *testing.T, spans []testenv.Span) int {
	t.Helper()
	traces := map[string][]testenv.Span{}
	for _, s := range spans {
		traces[string(s.TraceId)] = append(traces[string(s.TraceId)], s)
	}
	wrong := 0
	for _, trace := range traces {
		if err := checkChain(trace, len(chain)); err != nil {
			if wrong++; wrong <= 3 {
				t.Error(err)
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d traces are wrong", wrong, len(traces))
	}
	return len(traces)
}

// chain are the kinds of a call's spans, each the child of the one before.
var chain = []string{"SERVER", "CLIENT", "SERVER", "CLIENT", "SERVER"}

// checkChain fails unless a trace is the first n spans of a chain.
func checkChain(trace []testenv.Span, n int) error {
	children := map[string]testenv.Span{}
	for _, s := range trace {
		if _, twice := children[string(s.ParentSpanId)]; twice {
			return fmt.Errorf("trace %x has two spans with the parent %x", s.TraceId, s.ParentSpanId)
		}
		children[string(s.ParentSpanId)] = s
	}
	parent := ""
	for i, kind := range chain[:min(n, len(chain))] {
		s, ok := children[parent]
		if !ok || s.Kind.String() != "SPAN_KIND_"+kind {
			return fmt.Errorf("trace %x of %d spans: span %d is %v (there: %t), want %s", trace[0].TraceId, len(trace), i+1, s.Span.GetKind(), ok, kind)
		}
		parent = string(s.SpanId)
	}
	if len(trace) != n || n > len(chain) {
		return fmt.Errorf("trace %x has %d spans", trace[0].TraceId, len(trace))
	}
	return nil
}
