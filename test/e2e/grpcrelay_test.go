package e2e

import (
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/remora-agent/remora/internal/testenv"
)

var streams = flag.Int("streams", 1000, "how many calls of gRPC are under way at once in the tests of a relay")

// grpcRelay are three processes that call one another, and the agent that traces them all.
type grpcRelay struct {
	targets []*testenv.Target
	agent   *testenv.Agent
	sink    *testenv.Sink
	conn    *grpc.ClientConn // to the first
	secure  bool             // TLS between them
}

func startGRPCRelay(t *testing.T, b grpcBuild, secure bool, sink *testenv.Sink, env ...string) *grpcRelay {
	t.Helper()
	r := &grpcRelay{sink: sink, secure: secure}
	bin := testenv.Build(t, b.spec)
	var args []string
	for range 3 {
		p := testenv.StartTarget(t, bin, nil)
		r.targets = append(r.targets, p)
		args = append(args, "--pid", strconv.Itoa(p.PID))
	}
	env = append([]string{"OTEL_BSP_MAX_QUEUE_SIZE=65536", fmt.Sprint("REMORA_MAX_OPERATIONS=", 8**streams)}, env...) // each call is five at once
	r.agent = testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: args, Env: env})
	for _, p := range r.targets {
		r.agent.WaitTraced(t, p.PID)
	}
	r.conn = dialGRPC(t, r.targets[0], r.listener(), "")
	return r
}

func (r *grpcRelay) listener() string {
	if r.secure {
		return "tls"
	}
	return "plain"
}

// call is the i-th call through the relay. One after the other they have all kinds and all codes.
func (r *grpcRelay) call(i int) rpc {
	method := []string{"Unary", "Upload", "Download", "Talk"}[i%4]
	hop := method
	if r.secure {
		hop += "+tls"
	}
	route := fmt.Sprintf("%s@%s %s@%s", hop, r.targets[1].Addr(r.listener()), hop, r.targets[2].Addr(r.listener()))
	call := rpc{method: method, body: fmt.Appendf(nil, "call %d", i), metadata: []string{"route", route, "do", "sleep"}}
	if code := codes.Code(i % 17); code != codes.OK {
		call.code = code
		call.metadata = append(call.metadata, "code", fmt.Sprint(uint(code)), "message", fmt.Sprint("of call ", i))
	}
	return call
}

// run makes n calls at once. It returns what went wrong with them, as their maker sees it.
func (r *grpcRelay) run(n int) error {
	errs := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			call := r.call(i)
			got, err := call.do(r.conn)
			if err == nil {
				err = call.check(got)
			}
			errs[i] = err
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// codesOf counts calls by their code.
func codesOf(n int) map[string]int {
	count := map[string]int{}
	for i := range n {
		count[strconv.Quote(grpcCodes[i%17])]++
	}
	return count
}

// grpcCodes are the names that the conventions give the codes: https://github.com/grpc/grpc/blob/v1.75.0/doc/statuscodes.md
var grpcCodes = [...]string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
	"FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

// relayBuilds are the oldest and the newest: before Go 1.21 nothing tells who created a goroutine.
func relayBuilds() []grpcBuild {
	all := grpcBuilds()
	return []grpcBuild{all[0], all[len(all)-1]}
}

// TestGRPCRelay: calls through three processes, all under way at once, are spans of the right process and code, each CLIENT the child of its
// SERVER. Nothing is written to the processes, so that each begins a trace of its own.
func TestGRPCRelay(t *testing.T) {
	testenv.RequireRoot(t)
	for _, b := range relayBuilds() {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/tls=%t", b.spec, secure), func(t *testing.T) {
				r := startGRPCRelay(t, b, secure, testenv.NewSink(t), "REMORA_PROPAGATION=none")
				if err := r.run(*streams); err != nil {
					t.Error(err)
				}
				spans := r.sink.Wait(t, 5**streams, 60*time.Second)
				pairs, alone := 0, 0
				for id, trace := range byTrace(spans) {
					switch len(trace) {
					case 2:
						pairs++
						checkChild(t, trace)
					case 1:
						alone++
					default:
						t.Errorf("trace %x has %d spans", id, len(trace))
					}
				}
				if pairs != 2**streams || alone != *streams {
					t.Errorf("%d traces of a SERVER and its CLIENT, %d of a SERVER, want %d and %d", pairs, alone, 2**streams, *streams)
				}
				checkRelayEnd(t, r, spans)
			})
		}
	}
}

// TestGRPCInjectGarbage: where the collector has taken the message of each second request, the request is known all the same, by what its writer still
// needs (grpc from 1.77 on). What keeps a request from trace context otherwise (TestGRPCInjectRelay) is as rare as there.
func TestGRPCInjectGarbage(t *testing.T) {
	testenv.RequireInjection(t)
	r := startGRPCRelay(t, relayBuilds()[0], false, testenv.NewSink(t), "REMORA_TEST_FAIL_MESSAGE=2")
	if err := r.run(*streams); err != nil {
		t.Error(err)
	}
	spans := r.sink.Wait(t, 5**streams, testenv.Patient(60*time.Second))
	cut := fewWithout(t, r.agent, 2**streams)
	if n := checkParts(t, spans); n != *streams+cut {
		t.Errorf("%d traces, want %d and %d for calls without trace context", n, *streams, cut)
	}
}

// TestGRPCInjectRelay is TestGRPCRelay with trace context on the wire: each call is one trace of five spans. A request whose frame a full write
// buffer has cut, or behind which lies a page that nobody has used yet, cannot be written to (docs/probes/grpc.md), nor can one be told any more
// whose message the collector has taken meanwhile: it is counted, and begins a trace of its own. Of these there are few, and next to none where
// requests are steered.
func TestGRPCInjectRelay(t *testing.T) {
	testenv.RequireInjection(t)
	for _, b := range relayBuilds() {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/tls=%t", b.spec, secure), func(t *testing.T) {
				r := startGRPCRelay(t, b, secure, testenv.NewSink(t))
				if err := r.run(*streams); err != nil {
					t.Error(err)
				}
				spans := r.sink.Wait(t, 5**streams, 60*time.Second)
				cut := fewWithout(t, r.agent, 2**streams)
				if n := checkParts(t, spans); n != *streams+cut {
					t.Errorf("%d traces, want %d and %d for calls without trace context", n, *streams, cut)
				}
				for id, trace := range byTrace(spans) {
					codes := map[string]bool{}
					for _, s := range trace {
						codes[testenv.Attributes(s.Attributes)["rpc.response.status_code"]] = true
					}
					if len(codes) != 1 {
						t.Errorf("trace %x has the codes %v", id, codes)
					}
				}
				checkRelayEnd(t, r, spans)
			})
		}
	}
}

// fewWithout returns how many of n calls went without trace context. It fails if they are more than one in 100, or in 400 where requests are steered,
// or if that was for another reason than may be.
func fewWithout(t *testing.T, agent *testenv.Agent, n int) int {
	t.Helper()
	reasons, few := []string{"no_room", "memory_unwritable", "preempted"}, n/100
	if testenv.Steers() {
		reasons, few = []string{"preempted"}, n/400
	}
	cut, without := 0, withoutContext(t, agent)
	for _, reason := range reasons {
		cut += without[reason]
		delete(without, reason)
	}
	t.Logf("%d of %d calls went without trace context", cut, n)
	if len(without) > 0 {
		t.Errorf("calls went without trace context: %v", without)
	}
	if cut > few {
		t.Errorf("%d calls went without trace context, want %d at most", cut, few)
	}
	return cut
}

// checkParts returns how many traces there are; each must be a chain of at most five spans, servers and clients in turn.
func checkParts(t *testing.T, spans []testenv.Span) int {
	t.Helper()
	traces := byTrace(spans)
	for _, trace := range traces {
		if err := checkChain(trace, len(trace)); err != nil {
			t.Error(err)
		}
	}
	return len(traces)
}

func byTrace(spans []testenv.Span) map[string][]testenv.Span {
	traces := map[string][]testenv.Span{}
	for _, s := range spans {
		traces[string(s.TraceId)] = append(traces[string(s.TraceId)], s)
	}
	return traces
}

// checkRelayEnd: each code is there as often as there were calls with it, five spans each; and nothing is lost or left behind.
func checkRelayEnd(t *testing.T, r *grpcRelay, spans []testenv.Span) {
	t.Helper()
	got := map[string]int{}
	for _, s := range spans {
		got[testenv.Attributes(s.Attributes)["rpc.response.status_code"]]++
	}
	for code, n := range codesOf(*streams) {
		if got[code] != 5*n {
			t.Errorf("%d spans with %s, want %d", got[code], code, 5*n)
		}
	}
	for _, s := range spans {
		if !strings.HasPrefix(s.Name, "remora.test.Relay/") {
			t.Errorf("span %q", s.Name)
		}
	}
	for _, p := range r.targets {
		if p.Exited() {
			t.Errorf("a process is gone:\n%s", p.Output())
		}
	}
	checkGRPCEnd(t, r.targets[0], r.agent)
}
