package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"github.com/remora-agent/remora/internal/testenv"
)

// grpcExamples are services of grpc-go's own, as they are: https://github.com/grpc/grpc-go/tree/master/examples
var grpcExamples = []struct {
	server, client string
	calls          []string // method and status, sorted
}{
	{"helloworld/greeter_server", "helloworld/greeter_client", []string{"helloworld.Greeter/SayHello OK"}},
	{"route_guide/server", "route_guide/client", []string{
		"routeguide.RouteGuide/GetFeature OK", "routeguide.RouteGuide/GetFeature OK", "routeguide.RouteGuide/ListFeatures OK",
		"routeguide.RouteGuide/RecordRoute OK", "routeguide.RouteGuide/RouteChat OK",
	}},
	{"features/metadata/server", "features/metadata/client", []string{
		"grpc.examples.echo.Echo/BidirectionalStreamingEcho OK", "grpc.examples.echo.Echo/ClientStreamingEcho OK",
		"grpc.examples.echo.Echo/ServerStreamingEcho OK", "grpc.examples.echo.Echo/UnaryEcho OK",
	}},
}

// TestGRPCExamples: each call of grpc-go's own examples is a span of the server and one of the client, which is traced from its beginning.
func TestGRPCExamples(t *testing.T) {
	testenv.RequireRoot(t)
	for _, e := range grpcExamples {
		t.Run(strings.TrimSuffix(e.server, "server"), func(t *testing.T) {
			served, called := testenv.NewSink(t), testenv.NewSink(t)
			addr := testenv.FreeAddr(t)
			server := exec.Command(buildExample(t, e.server), "-port", portOf(addr))
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { server.Process.Kill(); server.Wait() })
			testenv.Eventually(t, 10*time.Second, "server listens", func() bool {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					return false
				}
				conn.Close()
				return true
			})
			agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: served, Args: []string{"--pid", fmt.Sprint(server.Process.Pid)}})
			agent.WaitTraced(t, server.Process.Pid)
			client := exec.Command(testenv.Remora(t), "run", "--listen", "none", "--", buildExample(t, e.client), "-addr", addr)
			client.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_ENDPOINT="+called.URL())
			if out, err := client.CombinedOutput(); err != nil {
				t.Fatalf("client: %v\n%s", err, out)
			}
			compareCalls(t, "SERVER", served.Wait(t, len(e.calls), 10*time.Second), e.calls)
			compareCalls(t, "CLIENT", called.Wait(t, len(e.calls), 10*time.Second), e.calls)
		})
	}
}

func buildExample(t *testing.T, name string) string {
	t.Helper()
	return testenv.Build(t, testenv.BuildSpec{Dir: "testdata/grpcexamples", Go: "1.26.8", Stripped: true, Package: "google.golang.org/grpc/examples/" + name})
}

func compareCalls(t *testing.T, kind string, spans []testenv.Span, want []string) {
	t.Helper()
	var got []string
	for _, s := range spans {
		if s.Kind.String() != "SPAN_KIND_"+kind {
			t.Errorf("%s is of kind %v, want %s", s.Name, s.Kind, kind)
		}
		got = append(got, s.Name+" "+strings.Trim(testenv.Attributes(s.Attributes)["rpc.response.status_code"], `"`))
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s spans (-want +got):\n%s", kind, diff)
	}
}

// TestGRPCInstrumented: a program with otelgrpc sends its own traceparent and no second one, and Remora's spans are of the same trace.
func TestGRPCInstrumented(t *testing.T) {
	testenv.RequireRoot(t)
	upstream := testenv.StartTarget(t, testenv.Build(t, grpcBuilds()[0].spec), nil)
	target, agent, sink := traceGRPC(t, grpcBuild{spec: testenv.BuildSpec{Dir: "testdata/grpcotel", Go: newest(), Stripped: true}})
	r := rpc{method: "/remora.test.Instrumented/Call", metadata: []string{"to", upstream.Addr("plain"), "traceparent", traceparent}, body: []byte("body")}
	got, err := r.do(dialGRPC(t, target, "plain", ""))
	if err != nil {
		t.Fatal(err)
	}
	seen := got.trailer["seen"]
	if len(seen) != 1 || !strings.HasPrefix(seen[0], "[00-"+remoteTrace+"-") || strings.Count(seen[0], "-") != 3 {
		t.Fatalf("the call carries %q, want one traceparent of the trace %s", seen, remoteTrace)
	}
	for _, s := range sink.Wait(t, 2, 10*time.Second) {
		if fmt.Sprintf("%x", s.TraceId) != remoteTrace {
			t.Errorf("%s is of the trace %x, want %s", s.Name, s.TraceId, remoteTrace)
		}
	}
	checkGRPCEnd(t, target, agent)
}

// TestGRPCOld: versions before 1.30 keep a call's status otherwise.
func TestGRPCOld(t *testing.T) {
	testenv.RequireRoot(t)
	for _, spec := range []testenv.BuildSpec{{Go: "1.19.13"}, {Go: "1.18.10", ModFile: "grpc-1.20.mod"}} {
		spec.Dir, spec.Stripped = "testdata/grpcold", true
		t.Run(spec.String(), func(t *testing.T) {
			target, agent, sink := traceGRPC(t, grpcBuild{spec: spec}, "REMORA_PROPAGATION=none")
			r := rpc{method: "/remora.test.Old/Call", metadata: []string{"traceparent", traceparent}, code: codes.NotFound}
			w := testenv.Window{From: time.Now()}
			if _, err := r.do(dialGRPC(t, target, "plain", "")); err != nil {
				t.Error(err)
			}
			spans := sink.Wait(t, 3, 10*time.Second)
			w.To = time.Now()
			testenv.Golden(t, "testdata/grpcold.golden", "", sectionsOf(t, []exchange{{"a call that calls", w, 3}}, spans, canonical(target.Addr("plain"))))
			checkGRPCEnd(t, target, agent)
		})
	}
}
