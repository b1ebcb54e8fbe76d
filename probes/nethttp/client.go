package nethttp

import (
	"fmt"
	"unsafe"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/probes"
)

// Client instruments net/http's client: a CLIENT span per round trip of a Transport, whatever protocol it speaks, from the
// call of RoundTrip until its return. Where the kernel lets it, it writes traceparent and tracestate into the requests.
//
// Its traps are the entry of (*Transport).roundTrip, the places where that returns, and one where the request is written: for
// HTTP/1 the call in (*Request).write of the function that writes the request's own header
// (https://github.com/golang/go/blob/go1.26.0/src/net/http/transport.go, request.go), for HTTP/2 the flush behind a stream's
// headers (h2_bundle.go). Before Go 1.21 a stream costs one more.
func Client() probes.Probe {
	return probes.Probe{
		Name:    "net/http client",
		Library: "net/http",
		Spec:    loadClient,
		Programs: []probes.Program{
			{Name: clientProgRoundTrip, Sites: []probes.Site{{Func: "net/http.(*Transport).roundTrip"}}},
			{Name: clientProgStream, Injects: true, Steers: true, Optional: true, Unless: parentGoid(),
				Sites: append(bundledHTTP2.stream(), internalHTTP2.stream()...)},
			{Name: clientProgWriteFrame, Injects: true, Optional: true, Sites: append(bundledHTTP2.flush(), internalHTTP2.flush()...)},
			{Name: clientProgSteerFields, Injects: true, Steers: true, InsteadOf: clientProgWriteFrame, Optional: true,
				Sites: []probes.Site{bundledHTTP2.encode(), internalHTTP2.encode()}},
			{Name: clientProgSteerFieldsReturn, Injects: true, Steers: true, InsteadOf: clientProgWriteFrame, Optional: true,
				Sites: append(bundledHTTP2.encoded(), internalHTTP2.encoded()...)},
			{Name: clientProgWriteHeader, Injects: true, Optional: true, Sites: []probes.Site{
				{Func: "net/http.(*Request).write", At: "net/http.Header.writeSubset"},
			}},
			{Name: clientProgSteerHeader, Injects: true, Steers: true, InsteadOf: clientProgWriteHeader, Optional: true, Sites: []probes.Site{
				{Func: "net/http.(*Request).write", At: "net/http.Header.writeSubset"},
			}},
			{Name: clientProgSteerEnd, Injects: true, Steers: true, InsteadOf: clientProgWriteHeader, Optional: true, Sites: []probes.Site{
				{Func: "net/http.(*Request).write", At: "io.WriteString"},
			}},
			{Name: clientProgSteerEndReturn, Injects: true, Steers: true, InsteadOf: clientProgWriteHeader, Optional: true, Sites: []probes.Site{
				{Func: "net/http.(*Request).write", Back: "io.WriteString", Again: true, Results: 3},
			}},
			{Name: clientProgRoundTripReturn, Sites: []probes.Site{
				{Func: "net/http.(*Transport).roundTrip", Return: true, Results: 2, Success: []string{"net/http.(*persistConn).roundTrip"}},
			}},
		},
		Constants: append(callConstants(bundledHTTP2, internalHTTP2), probes.Constant{
			Name: clientVarBufioWriterItabs, Of: probes.Itabs{Interface: "io.Writer", Concrete: []string{"*bufio.Writer"}}, Optional: true,
		}, probes.Constant{
			Name: clientVarIoWriteString, Of: probes.Entry("io.WriteString"), Steers: true,
		}),
		NewDecoder: newClientDecoder,
	}
}

// callConstants are what the programs of roundtrip.h and http2write.h must know; alternatives are where the HTTP/2 client may be.
func callConstants(alternatives ...http2Names) []probes.Constant {
	http2 := func(typ, path string) probes.Fields { return fieldOf(alternatives, typ, path) }
	var writers []string
	for _, n := range alternatives {
		writers = append(writers, n.typ("stickyErrWriter"))
	}
	request := func(path string) probes.Field { return probes.Field{Type: "net/http.Request", Path: path} }
	response := func(path string) probes.Field { return probes.Field{Type: "net/http.Response", Path: path} }
	url := func(path string) probes.Field { return probes.Field{Type: "net/url.URL", Path: path} }
	writer := func(path string) probes.Field { return probes.Field{Type: "bufio.Writer", Path: path} }
	return []probes.Constant{
		{Name: clientVarRuntimeG_goid, Of: probes.Field{Type: "runtime.g", Path: "goid"}, Max: bpf.GoroutineOffsetMax},
		{Name: clientVarG_stackHi, Of: probes.Field{Type: "runtime.g", Path: "stack.hi"}, Max: bpf.GoroutineOffsetMax},
		{Name: clientVarG_parentGoid, Of: parentGoid(), Max: bpf.GoroutineOffsetMax, Optional: true},
		{Name: clientVarKnownContexts, Of: probes.Contexts{}},
		{Name: clientVarReadOnly, Of: probes.ReadOnly{}},
		{Name: clientVarHeaderLayout, Of: probes.MapOf("net/http.Header")},
		{Name: clientVarRequestSize, Of: probes.Size("net/http.Request"), Max: int64(clientHttpClientLimitsCLIENT_REQUEST_SIZE)},
		{Name: clientVarUrlSize, Of: probes.Size("net/url.URL"), Max: int64(clientHttpClientLimitsCLIENT_URL_SIZE)},
		{Name: clientVarRequestMethod, Of: request("Method"), Max: clientRequestMax},
		{Name: clientVarRequestHeader, Of: request("Header"), Max: clientRequestMax},
		{Name: clientVarRequestCtx, Of: request("ctx"), Max: clientRequestMax},
		{Name: clientVarRequestResponse, Of: request("Response"), Max: clientRequestMax},
		{Name: clientVarRequestUrl, Of: request("URL")},
		{Name: clientVarResponseRequest, Of: response("Request")},
		{Name: clientVarResponseStatus, Of: response("StatusCode"), Max: clientAnswerMax},
		{Name: clientVarResponseProtoMajor, Of: response("ProtoMajor"), Max: clientAnswerMax},
		{Name: clientVarResponseProtoMinor, Of: response("ProtoMinor"), Max: clientAnswerMax},
		{Name: clientVarUrlScheme, Of: url("Scheme"), Max: clientURLMax},
		{Name: clientVarUrlOpaque, Of: url("Opaque"), Max: clientURLMax},
		{Name: clientVarUrlUser, Of: url("User"), Max: clientURLMax},
		{Name: clientVarUrlHost, Of: url("Host"), Max: clientURLMax},
		{Name: clientVarUrlPath, Of: url("Path"), Max: clientURLMax},
		{Name: clientVarUrlRawPath, Of: url("RawPath"), Max: clientURLMax},
		{Name: clientVarUrlRawQuery, Of: url("RawQuery"), Max: clientURLMax},
		{Name: clientVarUrlFragment, Of: url("Fragment"), Max: clientURLMax},
		{Name: clientVarUrlForceQuery, Of: url("ForceQuery"), Max: clientURLByteMax},
		{Name: clientVarBufioErr, Of: writer("err")},
		{Name: clientVarBufioBuf, Of: writer("buf")},
		{Name: clientVarBufioN, Of: writer("n")},
		{Name: clientVarBufioWr, Of: writer("wr")},
		{Name: clientVarConnWriterItabs, Of: probes.Itabs{Interface: "io.Writer", Concrete: writers}, Optional: true},
		{Name: clientVarConnWriterErr, Of: http2("stickyErrWriter", "err"), Optional: true},
		{Name: clientVarConnWerr, Of: http2("ClientConn", "werr"), Optional: true},
		{Name: clientVarConnFramer, Of: http2("ClientConn", "fr"), Optional: true},
		{Name: clientVarConnPeerMaxHeaderList, Of: http2("ClientConn", "peerMaxHeaderListSize"), Optional: true},
		{Name: clientVarPieces, Of: probes.Pieces{}, Steers: true},
		{Name: clientVarBufferWriteString, Of: probes.Entry("bytes.(*Buffer).WriteString"), Steers: true},
		{Name: clientVarBufferBuf, Of: probes.Field{Type: "bytes.Buffer", Path: "buf"}},
		{Name: clientVarBufferOff, Of: probes.Field{Type: "bytes.Buffer", Path: "off"}},
		{Name: clientVarStreamConn, Of: http2("clientStream", "cc"), Optional: true},
		{Name: clientVarConnHbuf, Of: http2("ClientConn", "hbuf"), Optional: true},
		{Name: clientVarFramerWbuf, Of: http2("Framer", "wbuf"), Optional: true},
	}
}

// The largest offsets at which the programs find a field in their copy of a struct.
const (
	clientRequestMax = int64(clientHttpClientLimitsCLIENT_REQUEST_OFFSET_MAX)
	clientAnswerMax  = int64(clientHttpClientLimitsCLIENT_ANSWER_OFFSET_MAX)
	clientURLMax     = int64(clientHttpClientLimitsCLIENT_URL_OFFSET_MAX)
	clientURLByteMax = int64(clientHttpClientLimitsCLIENT_URL_BYTE_OFFSET_MAX)
)

// clientFixed is how much of an event is always there.
const clientFixed = unsafe.Offsetof(clientHttpClientEvent{}.Text) + unsafe.Offsetof(clientHttpClientEvent{}.Text.Data)

func newClientDecoder(getenv func(string) string) (probes.Decoder, error) {
	methods, err := knownMethods(getenv)
	if err != nil {
		return nil, err
	}
	d := clientDecoder{Cache: probes.NewCache(), methods: methods}
	return d.decode, nil
}

// clientDecoder makes spans of events, one at a time.
type clientDecoder struct {
	*probes.Cache
	methods []string
	event   clientHttpClientEvent // the one at hand
}

func (d *clientDecoder) decode(head *bpf.SpanHead, event []byte, target probes.Target) (*tracepb.Span, error) {
	ev := &d.event
	if err := probes.Event(ev, event, clientFixed); err != nil {
		return nil, fmt.Errorf("cannot decode a net/http client event: %w", err)
	}
	data := ev.Text.Data[:min(len(ev.Text.Data), len(event)-int(clientFixed), int(ev.Text.Used))]
	piece := func(t clientSpanText) []byte { return target.Piece(data, t.Off, t.Len) }
	c := call{
		event:      ev,
		method:     d.Text(piece(ev.Method)),
		scheme:     d.Text(piece(ev.Scheme)),
		host:       d.Text(piece(ev.UrlHost)),
		path:       probes.Text(piece(ev.Path)),
		query:      probes.Text(piece(ev.Query)),
		fragment:   probes.Text(piece(ev.Fragment)),
		traceState: probes.Text(piece(ev.TraceState)),
	}
	if ev.Failed != 0 {
		c.failure = "_OTHER"
		if name, ok := target.TypeName(ev.ErrorType); ok {
			c.failure = name
		}
	}
	span := probes.NewSpan(head, tracepb.Span_SPAN_KIND_CLIENT, target)
	d.fill(span, &c)
	return span, nil
}
