package grpc

import (
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/remora-agent/remora/probes"
)

// Server instruments the server of google.golang.org/grpc, its own and the one that is a net/http handler: a SERVER span per call,
// from the beginning of its goroutine's work until its status is written.
//
// Its traps are the entries of (*Server).handleStream and of the transport's WriteStatus
// (https://github.com/grpc/grpc-go/blob/v1.80.0/server.go, internal/transport/http2_server.go): two per call. Up to 1.83 a
// unary call whose connection was lost meanwhile has no status written; one more trap, on the way of errors only, sees that.
func Server() probes.Probe {
	stream, serverStream := transport+".Stream", transport+".ServerStream" // the second from 1.69
	unary := library + ".(*Server).processUnaryRPC"
	return probes.Probe{
		Name:    library + " server",
		Library: library,
		Spec:    loadServer,
		Programs: []probes.Program{
			{Name: serverProgHandleStream, Sites: []probes.Site{{Func: library + ".(*Server).handleStream"}}},
			{Name: serverProgConnectionLost, Optional: true, Every: true, Sites: []probes.Site{
				{Func: unary, At: library + "/status.FromError", Every: true},
			}},
			{Name: serverProgHandlerWriteStatus, Optional: true, Sites: writeStatus("serverHandlerTransport")},
			{Name: serverProgWriteStatus, Sites: writeStatus("http2Server")},
		},
		Constants: append(callConstants(), []probes.Constant{
			{Name: serverVarMetadataKeys, Of: probes.Types{metadata + ".mdIncomingKey"}},
			{Name: serverVarPeerKeys, Of: probes.Types{peer + ".peerKey"}, Optional: true},
			{Name: serverVarPeerAddr, Of: probes.Field{Type: peer + ".Peer", Path: "Addr"}},
			{Name: serverVarStreamCtx, Of: probes.Field{Type: stream, Path: "ctx"}},
			{Name: serverVarStreamMethod, Of: probes.Field{Type: stream, Path: "method"}},
			{Name: serverVarServerStream, Of: probes.Field{Type: serverStream, Path: "Stream"}, Optional: true},
			{Name: serverVarServerStreamCtx, Of: probes.Field{Type: serverStream, Path: "Stream.ctx"}, Optional: true},
			{Name: serverVarOwnTransportTypes, Of: probes.Types{"*" + transport + ".http2Server"}, Optional: true},
			{Name: serverVarServerWorkers, Of: probes.Field{Type: library + ".Server", Path: "opts.numServerWorkers"}, Optional: true},
			{Name: serverVarConnectionErrorTypes, Of: probes.Types{transport + ".ConnectionError"}, Optional: true},
		}...),
		NewDecoder: newDecoder(tracepb.Span_SPAN_KIND_SERVER),
	}
}

func writeStatus(typ string) []probes.Site {
	return []probes.Site{
		{Func: transport + ".(*" + typ + ").writeStatus"}, // from 1.69
		{Func: transport + ".(*" + typ + ").WriteStatus"},
	}
}
