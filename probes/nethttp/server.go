package nethttp

import (
	"fmt"
	"unsafe"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/probes"
)

// Server instruments net/http's server for HTTP/1.0, 1.1 and 2: a SERVER span per request, from the call of the handler until
// its return or its panic.
//
// Its traps are the entry of serverHandler.ServeHTTP and for HTTP/1 the first emulated instruction behind that call in
// (*conn).serve (https://github.com/golang/go/blob/go1.26.0/src/net/http/server.go), for HTTP/2 the entry of the deferred
// function of runHandler (h2_bundle.go): two per request. The deferred function of (*conn).serve sees the panics: one per
// connection. Where the compiler has put copies of ServeHTTP in the place of its calls, the trap is behind readRequest, and where HTTP/2
// comes to the copies; see also HTTP2ServerCopy. A route costs one more per request where the matched request is out of reach at the end: see probes.Trial.
func Server() probes.Probe {
	response := func(path string) probes.Field { return probes.Field{Type: "net/http.response", Path: path} }
	const serve = "net/http.(*conn).serve"
	return probes.Probe{
		Name:    "net/http server",
		Library: "net/http",
		Spec:    loadServer,
		Programs: []probes.Program{
			{Name: serverProgServeHttp, Sites: []probes.Site{{Func: serveHTTP}}, Copies: []probes.Copy{
				serverServeSiteREQUEST_READ - 1: {Of: serveHTTP, Site: probes.Site{Func: serve, After: []string{"net/http.(*conn).readRequest"}, Results: 2}},
				serverServeSiteALPN - 1:         {Of: serveHTTP, Site: probes.Site{Func: "net/http.initALPNRequest.ServeHTTP"}},
				serverServeSiteUNENCRYPTED - 1:  {Of: serveHTTP, Site: probes.Site{Func: "net/http.unencryptedHTTP2Request.ServeHTTP"}},
				serverServeSiteUNENCRYPTED:      {Of: serveHTTP, Site: probes.Site{Func: http2Handler}, Seen: true}, // by HTTP2ServerCopy
			}},
			{Name: serverProgServeHttpReturn, Sites: []probes.Site{
				{Func: serve, After: []string{serveHTTP}},
				{Func: serve, At: "net/http.(*conn).hijacked"}, // the next that serve calls, if ServeHTTP is inlined in it
			}},
			{Name: serverProgServeUnwind, Sites: []probes.Site{
				{Func: "net/http.(*conn).serve.func*", Calls: "runtime.gorecover"},
			}},
			{Name: serverProgStreamDone, Optional: true, Sites: []probes.Site{bundledHTTP2.handlerDone(), internalHTTP2.handlerDone()}},
			{
				Name:     serverProgMuxMatch,
				Optional: true,
				Trial:    &probes.Trial{Needed: serverVarRoutesNeeded, Spare: serverVarRoutesSpare, Missed: serverVarRoutesMissed},
				Sites: []probes.Site{
					{Func: "net/http.(*ServeMux).ServeHTTP", Results: 4, After: []string{
						"net/http.(*ServeMux).findHandler",
						"net/http.(*serveMux121).findHandler", // a program whose go.mod says less than go 1.22
					}},
					{Func: "net/http.(*ServeMux).handler", Return: true, Results: 4},
				},
			},
		},
		Constants: append(requestConstants(requestNames{"net/http.Request", "ctx"}, bundledHTTP2, internalHTTP2), []probes.Constant{
			{Name: serverVarResponseItabs, Of: responseWriters("*net/http.response")},
			// The second is from Go 1.27. Without them HTTP/2 is unsupported.
			{Name: serverVarStreamItabs, Of: responseWriters("*net/http.http2responseWriter", "net/http.http2ResponseWriter"), Optional: true},
			{Name: serverVarResponseSize, Of: probes.Size("net/http.response"), Max: int64(serverHttpLimitsRESPONSE_SIZE)},
			{Name: serverVarResponseConn, Of: response("conn"), Max: responseMax},
			{Name: serverVarResponseReq, Of: response("req")},
			{Name: serverVarResponseStatus, Of: response("status"), Max: responseMax},
			{Name: serverVarResponseWroteHeader, Of: response("wroteHeader"), Max: responseMax},
			{Name: serverVarResponseWritten, Of: response("written"), Max: responseMax},
			{Name: serverVarConnHijacked, Of: probes.Field{Type: "net/http.conn", Path: "hijackedv"}},
		}...),
		NewDecoder: newServerDecoder,
	}
}

const (
	serveHTTP    = "net/http.serverHandler.ServeHTTP"
	http2Handler = "net/http.http2Handler.ServeHTTP" // from Go 1.27
)

func responseWriters(types ...string) probes.Itabs {
	return probes.Itabs{Interface: "net/http.ResponseWriter", Concrete: types}
}

// requestNames say which struct a server's request is, and which of its fields is the context.
type requestNames struct{ typ, context string }

// requestConstants are what the programs of serve.h must know; alternatives are where the HTTP/2 server may be.
func requestConstants(names requestNames, alternatives ...http2Names) []probes.Constant {
	request := func(path string) probes.Field { return probes.Field{Type: names.typ, Path: path} }
	return append(probes.PanicConstants(), []probes.Constant{
		{Name: serverVarRuntimeG_goid, Of: probes.Field{Type: "runtime.g", Path: "goid"}},
		{Name: serverVarG_parentGoid, Of: parentGoid(), Optional: true},
		{Name: serverVarReadOnly, Of: probes.ReadOnly{}},
		{Name: serverVarHeaderLayout, Of: probes.MapOf("net/http.Header")},
		{Name: serverVarRequestSize, Of: probes.Size(names.typ), Max: int64(serverHttpLimitsREQUEST_SIZE)},
		{Name: serverVarRequestMethod, Of: request("Method"), Max: requestMax},
		{Name: serverVarRequestHeader, Of: request("Header"), Max: requestMax},
		{Name: serverVarRequestHost, Of: request("Host"), Max: requestMax},
		{Name: serverVarRequestRemoteAddr, Of: request("RemoteAddr"), Max: requestMax},
		{Name: serverVarRequestUri, Of: request("RequestURI"), Max: requestMax},
		{Name: serverVarRequestTls, Of: request("TLS"), Max: requestMax},
		{Name: serverVarRequestProtoMajor, Of: request("ProtoMajor"), Max: requestMax},
		{Name: serverVarRequestProtoMinor, Of: request("ProtoMinor"), Max: requestMax},
		{Name: serverVarRequestCtx, Of: request(names.context), Max: requestMax},
		{Name: serverVarCancelCtxParent, Of: probes.Field{Type: "context.cancelCtx", Path: "Context"}},
		{Name: serverVarRequestPattern, Of: request("Pattern"), Optional: true},
		{Name: serverVarRequestPat, Of: request("pat"), Optional: true},
		{Name: serverVarPatternStr, Of: probes.Field{Type: "net/http.pattern", Path: "str"}, Optional: true},
		{Name: serverVarWriterState, Of: fieldOf(alternatives, "responseWriter", "rws"), Optional: true},
		{Name: serverVarStateReq, Of: fieldOf(alternatives, "responseWriterState", "req"), Optional: true},
		{Name: serverVarServerRequestHeader, Of: probes.Field{Type: "net/http/internal/http2.ServerRequest", Path: "Header"}, Optional: true},
		{Name: serverVarStateStatus, Of: fieldOf(alternatives, "responseWriterState", "status"), Max: stateMax, Optional: true},
		{Name: serverVarStateWroteHeader, Of: fieldOf(alternatives, "responseWriterState", "wroteHeader"), Max: stateMax, Optional: true},
		{Name: serverVarStateWroteBytes, Of: fieldOf(alternatives, "responseWriterState", "wroteBytes"), Max: stateMax, Optional: true},
	}...)
}

// The largest offsets at which the programs find a field in their copy of a struct.
const (
	requestMax  = int64(serverHttpLimitsREQUEST_OFFSET_MAX)
	responseMax = int64(serverHttpLimitsRESPONSE_OFFSET_MAX)
	stateMax    = int64(serverHttpLimitsSTATE_OFFSET_MAX)
)

// fixed is how much of an event is always there.
const fixed = unsafe.Offsetof(serverHttpServerEvent{}.Text) + unsafe.Offsetof(serverHttpServerEvent{}.Text.Data)

func newServerDecoder(getenv func(string) string) (probes.Decoder, error) {
	methods, err := knownMethods(getenv)
	if err != nil {
		return nil, err
	}
	d := decoder{Cache: probes.NewCache(), methods: methods}
	return d.decode, nil
}

// decoder makes spans of events, one at a time.
type decoder struct {
	*probes.Cache
	methods []string
	event   serverHttpServerEvent // the one at hand
}

func (d *decoder) decode(head *bpf.SpanHead, event []byte, target probes.Target) (*tracepb.Span, error) {
	ev := &d.event
	if err := probes.Event(ev, event, fixed); err != nil {
		return nil, fmt.Errorf("cannot decode a net/http server event: %w", err)
	}
	data := ev.Text.Data[:min(len(ev.Text.Data), len(event)-int(fixed), int(ev.Text.Used))]
	piece := func(t serverSpanText) []byte { return target.Piece(data, t.Off, t.Len) }
	r := request{
		event:          ev,
		method:         d.Text(piece(ev.Method)),
		requestTarget:  probes.Text(piece(ev.RequestTarget)),
		host:           d.Text(piece(ev.Host)),
		remoteAddr:     d.Text(piece(ev.RemoteAddr)),
		userAgent:      d.Text(piece(ev.UserAgent)),
		forwarded:      d.Text(piece(ev.Forwarded)),
		forwardedFor:   d.Text(piece(ev.ForwardedFor)),
		forwardedProto: d.Text(piece(ev.ForwardedProto)),
		forwardedHost:  d.Text(piece(ev.ForwardedHost)),
		traceState:     probes.Text(piece(ev.TraceState)),
		route:          route(d.Text(piece(ev.Route))),
		panic:          d.panic(piece(ev.Panic.Text), target),
	}
	span := probes.NewSpan(head, tracepb.Span_SPAN_KIND_SERVER, target)
	d.fill(span, &r)
	return span, nil
}

// panic takes a panic out of the event at hand.
func (d *decoder) panic(text []byte, target probes.Target) probes.Panic {
	ev := &d.event.Panic
	p := probes.Panic{Text: probes.Text(text)}
	if ev.Type != 0 {
		p.Type = "unknown"
		if name, ok := target.TypeName(ev.Type); ok {
			p.Type = name
		}
	}
	if ev.Bounds != 0 {
		p.Bounds = &probes.Bounds{X: ev.X, Y: ev.Y, Signed: ev.BoundsSigned != 0, Code: ev.BoundsCode}
	}
	return p
}
