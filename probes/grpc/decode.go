package grpc

import (
	"fmt"
	"net/netip"
	"unsafe"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/probes"
)

// fixed is how much of an event is always there.
const fixed = unsafe.Offsetof(serverGrpcEvent{}.Text) + unsafe.Offsetof(serverGrpcEvent{}.Text.Data)

func newDecoder(kind tracepb.Span_SpanKind) func(func(string) string) (probes.Decoder, error) {
	return func(func(string) string) (probes.Decoder, error) {
		d := decoder{Cache: probes.NewCache(), kind: kind}
		return d.decode, nil
	}
}

// decoder makes spans of events, one at a time.
type decoder struct {
	*probes.Cache
	kind  tracepb.Span_SpanKind
	event serverGrpcEvent // the one at hand
}

func (d *decoder) decode(head *bpf.SpanHead, event []byte, target probes.Target) (*tracepb.Span, error) {
	ev := &d.event
	if err := probes.Event(ev, event, fixed); err != nil {
		return nil, fmt.Errorf("cannot decode a grpc event: %w", err)
	}
	data := ev.Text.Data[:min(len(ev.Text.Data), len(event)-int(fixed), int(ev.Text.Used))]
	piece := func(t serverSpanText) []byte { return target.Piece(data, t.Off, t.Len) }
	c := call{
		method:     d.Text(piece(ev.Method)),
		authority:  d.Text(piece(ev.Authority)),
		target:     d.Text(piece(ev.Target)),
		peer:       d.Text(piece(ev.Peer)),
		message:    probes.Text(piece(ev.Message)),
		traceState: probes.Text(piece(ev.TraceState)),
		code:       ev.Code,
		peerIP:     peerIP(ev),
		peerPort:   ev.PeerPort,
	}
	if ev.ErrorType != 0 {
		c.failure = "_OTHER"
		if name, ok := target.TypeName(ev.ErrorType); ok {
			c.failure = name
		}
	}
	span := probes.NewSpan(head, d.kind, target)
	d.fill(span, &c)
	return span, nil
}

// peerIP is the invalid address if the peer has none.
func peerIP(ev *serverGrpcEvent) netip.Addr {
	if int(ev.PeerIpLen) > len(ev.PeerIp) {
		return netip.Addr{}
	}
	ip, _ := netip.AddrFromSlice(ev.PeerIp[:ev.PeerIpLen])
	return ip.Unmap()
}
