package grpc

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/remora-agent/remora/bpf"
)

const method = "/example.Greeter/Hello"

func TestSpan(t *testing.T) {
	const server, client = tracepb.Span_SPAN_KIND_SERVER, tracepb.Span_SPAN_KIND_CLIENT
	ended := func(code uint32) serverGrpcEvent { return serverGrpcEvent{Code: code} }
	failed := func(message string) *tracepb.Status {
		return &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: message}
	}
	for _, tt := range []struct {
		name   string
		kind   tracepb.Span_SpanKind
		sent   sent
		span   string
		attrs  []any // behind rpc.system.name
		status *tracepb.Status
	}{
		{
			name: "server", kind: server, span: "example.Greeter/Hello",
			sent: sent{method: method, authority: "example.com:443", fixed: serverGrpcEvent{PeerIp: [16]uint8{10, 1, 2, 3}, PeerIpLen: 4, PeerPort: 5000}},
			attrs: []any{
				"rpc.method", "example.Greeter/Hello", "server.address", "example.com", "server.port", 443,
				"client.address", "10.1.2.3", "client.port", 5000, "network.peer.address", "10.1.2.3", "network.peer.port", 5000,
				"rpc.response.status_code", "OK",
			},
		},
		{
			name: "client", kind: client, span: "example.Greeter/Hello",
			sent: sent{method: method, target: "dns:///example.com:443", authority: "other", fixed: serverGrpcEvent{PeerIp: [16]uint8{15: 1}, PeerIpLen: 16, PeerPort: 443}},
			attrs: []any{
				"rpc.method", "example.Greeter/Hello", "server.address", "example.com", "server.port", 443,
				"network.peer.address", "::1", "network.peer.port", 443, "rpc.response.status_code", "OK",
			},
		},
		{
			name: "peer by name", kind: server, span: "example.Greeter/Hello",
			sent: sent{method: method, authority: "[::1]", peer: "192.0.2.1:7"},
			attrs: []any{
				"rpc.method", "example.Greeter/Hello", "server.address", "::1", "client.address", "192.0.2.1", "client.port", 7,
				"network.peer.address", "192.0.2.1", "network.peer.port", 7, "rpc.response.status_code", "OK",
			},
		},
		{
			name: "socket without a name", kind: server, span: "example.Greeter/Hello",
			sent:  sent{method: method, peer: "@"},
			attrs: []any{"rpc.method", "example.Greeter/Hello", "rpc.response.status_code", "OK"},
		},
		{
			name: "server does not find", kind: server, span: "example.Greeter/Hello",
			sent:  sent{method: method, message: "no", fixed: ended(5)},
			attrs: []any{"rpc.method", "example.Greeter/Hello", "rpc.response.status_code", "NOT_FOUND"},
		},
		{
			name: "client does not find", kind: client, span: "example.Greeter/Hello",
			sent:   sent{method: method, message: "no", fixed: ended(5)},
			attrs:  []any{"rpc.method", "example.Greeter/Hello", "rpc.response.status_code", "NOT_FOUND", "error.type", "NOT_FOUND"},
			status: failed("no"),
		},
		{
			name: "server fails", kind: server, span: "example.Greeter/Hello",
			sent:   sent{method: method, message: "boom", fixed: ended(internal)},
			attrs:  []any{"rpc.method", "example.Greeter/Hello", "rpc.response.status_code", "INTERNAL", "error.type", "INTERNAL"},
			status: failed("boom"),
		},
		{
			name: "error without a status", kind: client, span: "example.Greeter/Hello",
			sent:   sent{method: method, fixed: serverGrpcEvent{Code: unknown, ErrorType: 1}},
			attrs:  []any{"rpc.method", "example.Greeter/Hello", "rpc.response.status_code", "UNKNOWN", "error.type", "*errors.errorString"},
			status: failed(""),
		},
		{
			name: "unknown method", kind: server, span: "grpc",
			sent: sent{method: method, message: "unknown method Hello for service example.Greeter", fixed: ended(unimplemented)},
			attrs: []any{
				"rpc.method", "_OTHER", "rpc.method_original", "example.Greeter/Hello",
				"rpc.response.status_code", "UNIMPLEMENTED", "error.type", "UNIMPLEMENTED",
			},
			status: failed("unknown method Hello for service example.Greeter"),
		},
		{
			name: "unknown method of another server", kind: server, span: "example.Greeter/Hello",
			sent: sent{method: method, message: "unknown method Hello for service example.Other", fixed: ended(unimplemented)},
			attrs: []any{
				"rpc.method", "example.Greeter/Hello", "rpc.response.status_code", "UNIMPLEMENTED", "error.type", "UNIMPLEMENTED",
			},
			status: failed("unknown method Hello for service example.Other"),
		},
		{
			name: "malformed method", kind: server, span: "grpc",
			sent: sent{method: "/malformed", message: `malformed method name: "/malformed"`, fixed: ended(unimplemented)},
			attrs: []any{
				"rpc.method", "_OTHER", "rpc.method_original", "malformed",
				"rpc.response.status_code", "UNIMPLEMENTED", "error.type", "UNIMPLEMENTED",
			},
			status: failed(`malformed method name: "/malformed"`),
		},
		{
			name: "method that is not implemented", kind: server, span: "example.Greeter/Hello",
			sent: sent{method: method, message: "method Hello not implemented", fixed: ended(unimplemented)},
			attrs: []any{
				"rpc.method", "example.Greeter/Hello", "rpc.response.status_code", "UNIMPLEMENTED", "error.type", "UNIMPLEMENTED",
			},
			status: failed("method Hello not implemented"),
		},
		{
			name: "tracestate without a parent", kind: server, span: "example.Greeter/Hello",
			sent:  sent{method: method, traceState: "a=1"},
			attrs: []any{"rpc.method", "example.Greeter/Hello", "rpc.response.status_code", "OK"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decoderOf(t, tt.kind)(new(bpf.SpanHead), tt.sent.event(), target())
			if err != nil {
				t.Fatal(err)
			}
			want := &tracepb.Span{
				TraceId: make([]byte, 16), SpanId: make([]byte, 8), Kind: tt.kind, Flags: 0x100, Name: tt.span, Status: tt.status,
				Attributes: attrs(append([]any{"rpc.system.name", "grpc"}, tt.attrs...)...),
			}
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSpanTraceState(t *testing.T) {
	decode := decoderOf(t, tracepb.Span_SPAN_KIND_SERVER)
	for _, tt := range []struct{ text, want string }{{"a=1,b=2", "a=1,b=2"}, {"not valid", ""}, {"", ""}} {
		span, err := decode(&bpf.SpanHead{ParentId: [8]uint8{1}}, sent{method: method, traceState: tt.text}.event(), target())
		if err != nil || span.TraceState != tt.want {
			t.Errorf("%q: %q, %v", tt.text, span.GetTraceState(), err)
		}
	}
}
