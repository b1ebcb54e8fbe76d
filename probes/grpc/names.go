package grpc

import (
	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/probes"
)

const (
	library   = "google.golang.org/grpc"
	transport = library + "/internal/transport"
	status    = library + "/internal/status"
	oldStatus = library + "/status" // before 1.28
	metadata  = library + "/metadata"
	peer      = library + "/peer"
	http2     = "golang.org/x/net/http2"
)

// callConstants are what the programs of both sides must know. Names are those of https://github.com/grpc/grpc-go.
func callConstants() []probes.Constant {
	value := func(path string) probes.Field { return probes.Field{Type: "context.valueCtx", Path: path} }
	proto := func(path string) probes.Field {
		return probes.Field{Type: "google.golang.org/genproto/googleapis/rpc/status.Status", Path: path}
	}
	return []probes.Constant{
		{Name: serverVarRuntimeG_goid, Of: probes.Field{Type: "runtime.g", Path: "goid"}, Max: bpf.GoroutineOffsetMax},
		{Name: serverVarG_stackHi, Of: probes.Field{Type: "runtime.g", Path: "stack.hi"}, Max: bpf.GoroutineOffsetMax},
		{Name: serverVarG_parentGoid, Of: probes.Field{Type: "runtime.g", Path: "parentGoid"}, Max: bpf.GoroutineOffsetMax, Optional: true}, // Go 1.21+
		{Name: serverVarKnownContexts, Of: probes.Contexts{}},
		{Name: serverVarReadOnly, Of: probes.ReadOnly{}},
		{Name: serverVarMetadataLayout, Of: probes.MapOf(metadata + ".MD")},
		{Name: serverVarValueContextTypes, Of: probes.Types{"*context.valueCtx"}},
		{Name: serverVarValueContextParent, Of: value("Context"), Max: int64(serverGrpcLimitsVALUE_CONTEXT_MAX)},
		{Name: serverVarValueContextKey, Of: value("key"), Max: int64(serverGrpcLimitsVALUE_CONTEXT_MAX)},
		{Name: serverVarValueContextVal, Of: value("val"), Max: int64(serverGrpcLimitsVALUE_CONTEXT_MAX)},
		{Name: serverVarStatusProto, Of: probes.Fields{{Type: status + ".Status", Path: "s"}, {Type: oldStatus + ".Status", Path: "s"}}},
		{Name: serverVarProtoCode, Of: proto("Code")},
		{Name: serverVarProtoMessage, Of: proto("Message")},
		{Name: serverVarTcpAddrTypes, Of: probes.Types{"*net.TCPAddr"}, Optional: true},
		{Name: serverVarTcpAddrIp, Of: probes.Field{Type: "net.TCPAddr", Path: "IP"}, Max: int64(serverGrpcLimitsTCP_ADDR_MAX)},
		{Name: serverVarTcpAddrPort, Of: probes.Field{Type: "net.TCPAddr", Path: "Port"}, Max: int64(serverGrpcLimitsTCP_ADDR_MAX)},
		{Name: serverVarUnixAddrTypes, Of: probes.Types{"*net.UnixAddr"}, Optional: true},
		{Name: serverVarUnixAddrName, Of: probes.Field{Type: "net.UnixAddr", Path: "Name"}},
		{Name: serverVarTextAddrTypes, Of: probes.Types{transport + ".strAddr"}, Optional: true},
	}
}

// fields are a field of a type that has other names in other versions.
func fields(path string, types ...string) probes.Fields {
	var all probes.Fields
	for _, name := range types {
		all = append(all, probes.Field{Type: name, Path: path})
	}
	return all
}
