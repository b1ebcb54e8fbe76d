package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/remora-agent/remora/internal/testenv"
)

// TestInjectHTTP2: the fields of a request are those that it has without the agent, and the context of its CLIENT span. Where that is
// written into memory, a field block whose last frame has no room goes without, which is counted.
func TestInjectHTTP2(t *testing.T) {
	testenv.RequireInjection(t)
	ways := []struct {
		how         string
		least, most int // requests that carry nothing
	}{
		{how: "http2"},
		{how: "trailers"},
		{how: "h2parallel"},
		{how: "h2many&headers=10"},
		{how: "h2many&headers=100", least: 1, most: 1}, // one frame, longer than the write buffer: its beginning is gone
		{how: "h2many&headers=155", most: 1},           // a frame and a short one: both were seen
		{how: "h2many&headers=500", least: 1, most: 1}, // many frames, the last one longer than the buffer
	}
	for _, spec := range injectBuilds("testdata/httpclient") {
		t.Run(spec.String(), func(t *testing.T) {
			bin := testenv.Build(t, spec)
			sink, u := testenv.NewSink(t), startUpstream(t)
			target := testenv.StartTarget(t, bin, nil)
			to := u.tls.URL + "/path"
			plain := map[string][]http.Header{}
			for _, w := range ways {
				callOnce(t, target, w.how, to, nil)
				plain[w.how] = u.taken()
			}
			agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", strconv.Itoa(target.PID)}})
			agent.WaitTraced(t, target.PID)
			failed := 0
			for _, w := range ways {
				for _, header := range []http.Header{nil, {"Traceparent": {traceparent}, "Tracestate": {"vendor=1,other=2"}}} {
					before := sink.Len()
					callOnce(t, target, w.how, to, header)
					got := u.taken()
					spans := sink.Wait(t, before+1+len(plain[w.how]), testenv.Patient(10*time.Second))[before:]
					without := checkFields(t, w.how, got, plain[w.how], spans, header["Tracestate"])
					if testenv.Steers() { // there is room for all
						w.least, w.most = 0, 0
					}
					if without < w.least || without > w.most {
						t.Errorf("%s: %d requests carry nothing, want %d to %d", w.how, without, w.least, w.most)
					}
					failed += without
				}
			}
			if n := agent.Metric(t, "remora_propagation_failed_total"); int(n) != failed {
				t.Errorf("%d requests carry nothing, %v are counted", failed, n)
			}
		})
	}
}

// checkFields compares what arrived with what arrives without the agent and with the CLIENT spans; each span's context may be there once.
// Returns how many requests carry nothing.
func checkFields(t *testing.T, how string, got, plain []http.Header, spans []testenv.Span, states []string) (without int) {
	t.Helper()
	calls := map[string]bool{}
	for _, s := range spans {
		if s.Kind.String() == "SPAN_KIND_CLIENT" {
			calls[traceparentOf(s)] = true
		}
	}
	var rest []http.Header
	for _, h := range got {
		h = h.Clone()
		traceparents, tracestates := h["Traceparent"], h["Tracestate"]
		delete(h, "Traceparent")
		delete(h, "Tracestate")
		rest = append(rest, h)
		if len(traceparents) == 0 && len(tracestates) == 0 {
			without++
			continue
		}
		if len(traceparents) != 1 || !calls[traceparents[0]] || !slices.Equal(tracestates, states) {
			t.Errorf("%s: carries %q and the state %q, the spans are %v, the state %q", how, traceparents, tracestates, calls, states)
			continue
		}
		delete(calls, traceparents[0])
	}
	if diff := cmp.Diff(sorted(plain), sorted(rest)); diff != "" {
		t.Errorf("%s: fields (-without the agent, +with):\n%s", how, diff)
	}
	return without
}

// sorted returns headers as text, in an order that does not depend on which stream was first.
func sorted(headers []http.Header) []string {
	var list []string
	for _, h := range headers {
		list = append(list, fmt.Sprint(h)) // maps are printed by key
	}
	slices.Sort(list)
	return list
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
