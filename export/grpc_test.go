package export

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
)

// grpcReceiver answers every export alike and keeps the spans.
type grpcReceiver struct {
	coltracepb.UnimplementedTraceServiceServer
	response *coltracepb.ExportTraceServiceResponse
	err      error
	hang     chan struct{} // if there is one, nothing is answered before it is closed
	mu       sync.Mutex
	spans    []*tracepb.Span
}

func (g *grpcReceiver) Export(_ context.Context, r *coltracepb.ExportTraceServiceRequest) (*coltracepb.ExportTraceServiceResponse, error) {
	if g.hang != nil {
		<-g.hang
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, rs := range r.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			g.spans = append(g.spans, ss.Spans...)
		}
	}
	return g.response, g.err
}

func TestOTLPOverGRPC(t *testing.T) {
	tests := []struct {
		name     string
		env      map[string]string // HOST stands for the receiver's host:port
		response *coltracepb.ExportTraceServiceResponse
		err      error
		exported uint64
		want     string
	}{
		{"accepted", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://HOST"}, &coltracepb.ExportTraceServiceResponse{}, nil, 5, ""},
		{"no scheme", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "dns:///HOST", "OTEL_EXPORTER_OTLP_INSECURE": "true"},
			&coltracepb.ExportTraceServiceResponse{}, nil, 5, ""},
		{"address", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "HOST", "OTEL_EXPORTER_OTLP_INSECURE": "true"},
			&coltracepb.ExportTraceServiceResponse{}, nil, 5, ""},
		{"some rejected", map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://HOST/"}, &coltracepb.ExportTraceServiceResponse{PartialSuccess: &coltracepb.ExportTracePartialSuccess{
			RejectedSpans: 2, ErrorMessage: "too old",
		}}, nil, 3, "the receiver rejected spans: too old"},
		{"refused", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://HOST"}, nil, status.Error(codes.PermissionDenied, "who are you?"), 0, "gRPC PermissionDenied: who are you? (set the credentials in OTEL_EXPORTER_OTLP_HEADERS)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkGoroutines(t)
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			rec := &grpcReceiver{response: tt.response, err: tt.err}
			s := grpc.NewServer()
			coltracepb.RegisterTraceServiceServer(s, rec)
			go func() { _ = s.Serve(listener) }()
			t.Cleanup(s.Stop)

			env := map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
			for name, value := range tt.env {
				env[name] = strings.Replace(value, "HOST", listener.Addr().String(), 1)
			}
			p := newObserved(t, env)
			p.Add(shop, netHTTP, testSpans(5)...)
			err = p.Shutdown(within(t, 5*time.Second))
			checkStats(t, p, 5, tt.exported)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Shutdown: %v, want %q", err, tt.want)
			}
			if diff := cmp.Diff(testSpans(5), rec.spans, protocmp.Transform()); diff != "" {
				t.Errorf("received (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOTLPOverGRPCUnreachable has the failures that no answer comes with, and what HTTP meets on gRPC's port.
func TestOTLPOverGRPCUnreachable(t *testing.T) {
	server := grpc.NewServer()
	hanging := &grpcReceiver{hang: make(chan struct{})}
	coltracepb.RegisterTraceServiceServer(server, hanging)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	defer close(hanging.hang)
	addr := listener.Addr().String()
	const timeouts = "(is the receiver overloaded? see OTEL_EXPORTER_OTLP_TIMEOUT and OTEL_BSP_EXPORT_TIMEOUT)"
	tests := []struct {
		name                        string
		protocol, endpoint, timeout string
		want                        string
		times                       int
	}{
		{"TLS is assumed", "grpc", addr, "1000", "the receiver does not speak TLS (use an http:// endpoint, or set OTEL_EXPORTER_OTLP_INSECURE=true)", 1},
		{"TLS is said", "grpc", "https://" + addr, "1000", "the receiver does not speak TLS (use an http:// endpoint)", 1},
		{"hanging", "grpc", "http://" + addr, "300", "no answer within 300ms " + timeouts, 1},
		// Its greeting comes before the request is written in one of ten tries.
		{"HTTP", "http/protobuf", "http://" + addr, "1000",
			"the receiver speaks gRPC (set OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or use its port for HTTP, which is 4318 as a rule)", 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range tt.times {
				p := newObserved(t, map[string]string{
					"OTEL_EXPORTER_OTLP_PROTOCOL": tt.protocol, "OTEL_EXPORTER_OTLP_ENDPOINT": tt.endpoint, "OTEL_EXPORTER_OTLP_TIMEOUT": tt.timeout,
				})
				p.Add(shop, netHTTP, testSpans(5)...)
				err := p.Shutdown(within(t, 10*time.Second))
				if err == nil || !strings.HasSuffix(err.Error(), ": "+tt.want) {
					t.Fatalf("Shutdown\n got %v\nwant %v", err, tt.want)
				}
				checkStats(t, p, 5, 0)
			}
		})
	}
}

func TestOTLPOverGRPCDeadEndpoint(t *testing.T) {
	checkGoroutines(t)
	p := newObserved(t, map[string]string{
		"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
		"OTEL_BSP_EXPORT_TIMEOUT":     "300",
	})
	p.Add(shop, netHTTP, testSpans(5)...)
	err := p.Shutdown(within(t, 5*time.Second))
	if err == nil || !strings.Contains(err.Error(), "connection refused") ||
		!strings.Contains(err.Error(), "is a collector listening there? set OTEL_EXPORTER_OTLP_ENDPOINT") {
		t.Errorf("Shutdown: %v", err)
	}
	checkStats(t, p, 5, 0)
}
