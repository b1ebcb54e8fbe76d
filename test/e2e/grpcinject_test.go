package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/google/go-cmp/cmp"

	"github.com/remora-agent/remora/internal/testenv"
)

// smallHeader is the longest header list, in bytes, that the fixture's listener "small" takes.
const smallHeader = 8 << 10

// A heavyCall is one whose request fills frames or limits.
type heavyCall struct {
	listener string
	hop      string
	metadata int // bytes of x-long
	body     int // bytes
}

func heavyCalls() []heavyCall {
	var all []heavyCall
	for _, listener := range []string{"plain", "tls"} {
		way := ""
		if listener == "tls" {
			way = "+tls"
		}
		for _, method := range []string{"Unary", "Talk"} {
			all = append(all, heavyCall{listener, method + way, 0, 0}, heavyCall{listener, method + way, 20000, 4 << 20})
		}
		for n := 16<<10 - 420; n < 16<<10+20; n += 11 { // one frame, nearly full, to two
			all = append(all, heavyCall{listener, "Unary" + way, n, 10})
		}
		for _, n := range []int{1000, 4000, 2*16<<10 - 200, 2 * 16 << 10, 40000, 100000} { // 32 KB: the write buffer
			all = append(all, heavyCall{listener, "Unary" + way, n, 100})
		}
	}
	for n := smallHeader - 500; n < smallHeader+50; n += 9 { // the server's limit: what goes out without trace context goes out with it
		all = append(all, heavyCall{"small", "Unary", n, 1})
	}
	return append(all, heavyCall{"plain", "Unary+unbuffered", 100, 100})
}

// heavyOutcome is what its caller sees of a call.
type heavyOutcome struct {
	code   codes.Code
	length int // of the message that came back, which is checked
	long   int // of x-long that came back, which is checked
}

// TestGRPCInjectDamagesNothing: calls end as they do without the agent, byte by byte. What arrived carries the context of its CLIENT span, or
// nothing, which is counted.
func TestGRPCInjectDamagesNothing(t *testing.T) {
	testenv.RequireInjection(t)
	for _, b := range relayBuilds() {
		t.Run(b.spec.String(), func(t *testing.T) {
			bin := testenv.Build(t, b.spec)
			sink, target, upstream := testenv.NewSink(t), testenv.StartTarget(t, bin, nil), testenv.StartTarget(t, bin, nil)
			conn := dialGRPC(t, target, "plain", "")
			var plain, with []heavyOutcome
			for _, c := range heavyCalls() {
				outcome, _ := c.send(t, conn, upstream)
				plain = append(plain, outcome)
			}
			agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", fmt.Sprint(target.PID)}})
			agent.WaitTraced(t, target.PID)
			var seen []string
			for _, c := range heavyCalls() {
				outcome, traceparents := c.send(t, conn, upstream)
				with, seen = append(with, outcome), append(seen, traceparents...)
			}
			without := checkSeen(t, seen, sink.Wait(t, 2*len(with), 10*time.Second))
			if diff := cmp.Diff(plain, with, cmp.AllowUnexported(heavyOutcome{})); diff != "" {
				t.Errorf("outcomes (-without the agent, +with):\n%s", diff)
			}
			t.Logf("%d of %d calls carry nothing", without, len(with))
			if n := agent.Metric(t, "remora_propagation_failed_total"); int(n) != without {
				t.Errorf("%d calls carry nothing, %v are counted", without, n)
			}
			checkGRPCEnd(t, target, agent)
		})
	}
}

// send makes the call and returns its outcome and the traceparents with which it arrived, nil if it did not.
func (c heavyCall) send(t *testing.T, conn *grpc.ClientConn, upstream *testenv.Target) (heavyOutcome, []string) {
	t.Helper()
	long := strings.Repeat("~", c.metadata) // 13 bits each by HPACK's code: sent as it is
	r := rpc{method: "Unary", metadata: []string{"route", c.hop + "@" + upstream.Addr(c.listener), "x-long", long}, body: patterned(c.body)}
	got, err := r.do(conn)
	if err != nil {
		return heavyOutcome{code: status.Code(err)}, nil
	}
	if err := r.check(got); err != nil {
		t.Error(err)
	}
	back := strings.Join(got.trailer["x-long"], "")
	if back != long {
		t.Errorf("%+v: x-long came back with %d bytes", c, len(back))
	}
	seen := got.trailer["seen"]
	if len(seen) != 2 {
		t.Fatalf("%+v: seen %q, want what two processes saw", c, seen)
	}
	return heavyOutcome{length: len(got.body), long: len(back)}, seen[1:]
}

// checkSeen compares the traceparents of calls that arrived with the CLIENT spans, each of which may be there once. It returns how many calls
// carried nothing.
func checkSeen(t *testing.T, seen []string, spans []testenv.Span) (without int) {
	t.Helper()
	calls := map[string]bool{}
	for _, s := range spans {
		if s.Kind.String() == "SPAN_KIND_CLIENT" {
			calls["["+traceparentOf(s)+"]"] = true
		}
	}
	for _, traceparents := range seen {
		switch {
		case traceparents == "[]":
			without++
		case !calls[traceparents]:
			t.Errorf("a call carries %s, which is no span's or another call's", traceparents)
		}
		delete(calls, traceparents)
	}
	return without
}

// TestGRPCInjectOnce: what carries a traceparent already carries that one alone.
func TestGRPCInjectOnce(t *testing.T) {
	testenv.RequireInjection(t)
	for _, b := range relayBuilds() {
		t.Run(b.spec.String(), func(t *testing.T) {
			target, agent, sink := traceGRPC(t, b)
			upstream := testenv.StartTarget(t, testenv.Build(t, b.spec), nil)
			r := rpc{method: "Unary", metadata: []string{"route", "Unary+carries@" + upstream.Addr("plain")}}
			got, err := r.do(dialGRPC(t, target, "plain", ""))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"[]", "[" + traceparent + "]"}, got.trailer["seen"]); diff != "" {
				t.Errorf("traceparents on the way (-want +got):\n%s", diff)
			}
			sink.Wait(t, 2, 10*time.Second)
			checkGRPCEnd(t, target, agent)
		})
	}
}

// TestGRPCInjectState: a tracestate goes on with its traceparent whatever its length, whether it came with a call or with an HTTP request.
func TestGRPCInjectState(t *testing.T) {
	testenv.RequireInjection(t)
	for _, b := range relayBuilds() {
		t.Run(b.spec.String(), func(t *testing.T) {
			bin, sink := testenv.Build(t, b.spec), testenv.NewSink(t)
			target, upstream := testenv.StartTarget(t, bin, nil), testenv.StartTarget(t, bin, nil)
			agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", fmt.Sprint(target.PID), "--pid", fmt.Sprint(upstream.PID)}})
			agent.WaitTraced(t, target.PID)
			agent.WaitTraced(t, upstream.PID)
			conn, route := dialGRPC(t, target, "plain", ""), "Unary@"+upstream.Addr("plain")
			for _, n := range []int{10, 63, 64, 65, 126, 127, 128, 254, 255, 400, 512} { // 512: as long as it may be
				state := stateOf(n)
				r := rpc{method: "Unary", metadata: []string{"route", route, "traceparent", traceparent, "tracestate", state}}
				checkStates(t, agent, sink, state, func() error {
					_, err := r.do(conn)
					return err
				})
			}
			req, err := http.NewRequest("GET", "http://"+target.Addr("http")+"/?route="+url.QueryEscape(route), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Traceparent", traceparent)
			req.Header.Set("Tracestate", "vendor=http")
			checkStates(t, agent, sink, "vendor=http", func() error {
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					return err
				}
				return resp.Body.Close()
			})
			checkGRPCEnd(t, target, agent)
		})
	}
}

// stateOf makes a tracestate of n bytes.
func stateOf(n int) string {
	state := "vendor=" + strings.Repeat("s", min(n, 200)-len("vendor="))
	for i := 0; len(state) < n; i++ {
		member := fmt.Sprintf(",member%d=", i)
		state += member + strings.Repeat("s", max(1, min(n-len(state), 200)-len(member)))
	}
	return state
}

// checkStates makes a call, whose three spans must have the tracestate and be of the trace that came in. It is made again if its writer was
// preempted where it must not be, which is counted and lets it go without.
func checkStates(t *testing.T, agent *testenv.Agent, sink *testenv.Sink, state string, call func() error) {
	t.Helper()
	const tries = 3
	for try := 1; ; try++ {
		before, preempted := sink.Len(), withoutContext(t, agent)["preempted"]
		if err := call(); err != nil {
			t.Fatal(err)
		}
		spans := sink.Wait(t, before+3, testenv.Patient(10*time.Second))[before:]
		if without := withoutContext(t, agent); without["preempted"] > preempted && try < tries {
			t.Logf("calls that went without trace context: %v", without)
			continue
		}
		if len(spans) != 3 {
			t.Errorf("%d spans, want 3", len(spans))
		}
		for _, s := range spans {
			if s.TraceState != state || fmt.Sprintf("%x", s.TraceId) != remoteTrace {
				t.Errorf("%s is of trace %x and has the tracestate %q, want %q; without trace context: %v", s.Name, s.TraceId, s.TraceState, state, withoutContext(t, agent))
			}
		}
		return
	}
}
