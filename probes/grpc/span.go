package grpc

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/remora-agent/remora/probes"
)

// call is an event with its text.
type call struct {
	method, authority, target string
	message, traceState       string
	code                      uint32
	failure                   string // the type of an error without a status, "" if there is none
	peer                      string // as text, "" if it is an IP address or not known
	peerIP                    netip.Addr
	peerPort                  uint16
}

// other stands for a method that the server does not know.
const other = "_OTHER"

// fill writes the call into the span by the conventions for gRPC: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
func (d *decoder) fill(span *tracepb.Span, c *call) {
	a := attributes{Cache: d.Cache, list: make([]*commonpb.KeyValue, 0, 12)}
	server := d.kind == tracepb.Span_SPAN_KIND_SERVER
	a.text(semconv.RPCSystemNameKey, "grpc")
	method := strings.TrimPrefix(c.method, "/")
	span.Name = method
	if method == "" || server && c.unknownMethod() {
		span.Name = "grpc"
		a.text(semconv.RPCMethodKey, other)
		a.list = append(a.list, probes.Attribute(string(semconv.RPCMethodOriginalKey), method))
	} else {
		a.text(semconv.RPCMethodKey, method)
	}
	a.address(semconv.ServerAddressKey, semconv.ServerPortKey, c.server())
	if server {
		c.addPeer(&a, semconv.ClientAddressKey, semconv.ClientPortKey)
	}
	c.addPeer(&a, semconv.NetworkPeerAddressKey, semconv.NetworkPeerPortKey)
	c.addStatus(&a, span, server)
	if len(span.ParentSpanId) > 0 && c.traceState != "" {
		if state, err := trace.ParseTraceState(c.traceState); err == nil {
			span.TraceState = state.String()
		}
	}
	span.Attributes = a.list
}

// unknownMethod says whether the server answers so itself: https://github.com/grpc/grpc-go/blob/v1.80.0/server.go (handleStream). A handler
// may hand on the same answer of another server, which is about another method.
func (c *call) unknownMethod() bool {
	if c.code != unimplemented {
		return false
	}
	path := strings.TrimPrefix(c.method, "/")
	last := strings.LastIndex(path, "/")
	if last < 0 || path == c.method {
		return strings.HasPrefix(c.message, "malformed method name")
	}
	service, method := path[:last], path[last+1:]
	return c.message == "unknown service "+service || c.message == "unknown method "+method+" for service "+service
}

// server is whom the call is for: the client's target, or the authority that the client named.
func (c *call) server() string {
	if c.target != "" {
		return endpoint(c.target)
	}
	return c.authority
}

func (c *call) addPeer(a *attributes, host, port attribute.Key) {
	switch {
	case c.peerIP.IsValid():
		a.text(host, c.peerIP.String())
		a.number(port, int64(c.peerPort))
	case c.peer != "" && c.peer != "@": // a Unix socket without a name
		a.address(host, port, c.peer)
	}
}

// addStatus writes how the call has ended. Which codes are errors differs by side.
func (c *call) addStatus(a *attributes, span *tracepb.Span, server bool) {
	name := codeName(c.code)
	a.text(semconv.RPCResponseStatusCodeKey, name)
	if c.code == ok || server && !serverError(c.code) {
		return
	}
	if c.failure != "" {
		name = c.failure
	}
	a.text(semconv.ErrorTypeKey, name)
	span.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: c.message}
}

// attributes collects a span's attributes.
type attributes struct {
	*probes.Cache
	list []*commonpb.KeyValue
}

func (a *attributes) text(key attribute.Key, value string) {
	a.list = append(a.list, a.String(string(key), value))
}

func (a *attributes) number(key attribute.Key, value int64) {
	a.list = append(a.list, a.Int(string(key), value))
}

// address adds host and port of "host:port", or all of it if there is no port; nothing if it is empty.
func (a *attributes) address(hostKey, portKey attribute.Key, hostPort string) {
	if hostPort == "" {
		return
	}
	host, text, err := net.SplitHostPort(hostPort)
	port, portErr := strconv.ParseUint(text, 10, 16)
	if err != nil {
		a.text(hostKey, strings.Trim(hostPort, "[]"))
		return
	}
	a.text(hostKey, host)
	if portErr == nil && port > 0 {
		a.number(portKey, int64(port))
	}
}
