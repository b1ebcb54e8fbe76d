package grpc

import (
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/probes"
)

// sent is what the programs saw of a call; event makes of it the bytes that they would send.
type sent struct {
	method, authority, target, message, peer, traceState string
	fixed                                                serverGrpcEvent // all that is no text
}

func (s sent) event() []byte {
	ev := s.fixed
	for _, piece := range []struct {
		at   *serverSpanText
		text string
	}{
		{&ev.Method, s.method}, {&ev.Authority, s.authority}, {&ev.Target, s.target}, {&ev.Message, s.message},
		{&ev.Peer, s.peer}, {&ev.TraceState, s.traceState},
	} {
		if piece.text == "" {
			continue
		}
		*piece.at = serverSpanText{Off: ev.Text.Used, Len: uint16(len(piece.text))}
		ev.Text.Used += uint16(copy(ev.Text.Data[ev.Text.Used:], piece.text))
	}
	return raw(&ev)[:int(fixed)+int(ev.Text.Used)]
}

func raw(ev *serverGrpcEvent) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(ev)), unsafe.Sizeof(*ev))
}

func target() probes.Target {
	return probes.Target{
		Interval: func(start, end uint64) (uint64, uint64) { return start, end },
		TypeName: func(addr uint64) (string, bool) { return "*errors.errorString", addr == 1 },
	}
}

func decoderOf(t testing.TB, kind tracepb.Span_SpanKind) probes.Decoder {
	t.Helper()
	decode, err := newDecoder(kind)(func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return decode
}

// The head of a probe's event must lie where the agent reads it.
func TestEventHead(t *testing.T) {
	var ev serverGrpcEvent
	if at, size := unsafe.Offsetof(ev.Head), unsafe.Sizeof(ev.Head); at != 0 || size != unsafe.Sizeof(bpf.SpanHead{}) {
		t.Errorf("the head is %d bytes at %d, want %d at 0", size, at, unsafe.Sizeof(bpf.SpanHead{}))
	}
}

func TestDecodeBadLength(t *testing.T) {
	decode := decoderOf(t, tracepb.Span_SPAN_KIND_SERVER)
	whole := len(raw(new(serverGrpcEvent)))
	for _, tt := range []struct {
		length int
		ok     bool
	}{{0, false}, {int(fixed) - 1, false}, {int(fixed), true}, {whole, true}, {whole + 7, true}, {whole + 8, false}} {
		span, err := decode(new(bpf.SpanHead), make([]byte, tt.length), target())
		if (err == nil) != tt.ok || (span != nil) != tt.ok {
			t.Errorf("%d bytes: span %v, error %v", tt.length, span, err)
		}
	}
}

// Lengths and offsets that point outside are nothing, and what an event does not carry does not come from the one before it.
func TestDecodeHostile(t *testing.T) {
	decode := decoderOf(t, tracepb.Span_SPAN_KIND_CLIENT)
	if _, err := decode(new(bpf.SpanHead), sent{method: "/secret/secret", target: "secret"}.event(), target()); err != nil {
		t.Fatal(err)
	}
	ev := serverGrpcEvent{PeerIpLen: 255, Method: serverSpanText{Off: 1, Len: 12}, Target: serverSpanText{Off: 65535, Len: 65535}}
	ev.Text.Used = 65535
	got, err := decode(new(bpf.SpanHead), raw(&ev)[:fixed], target())
	if err != nil {
		t.Fatal(err)
	}
	want := attrs("rpc.system.name", "grpc", "rpc.method", "_OTHER", "rpc.method_original", "", "rpc.response.status_code", "OK")
	if diff := cmp.Diff(want, got.Attributes, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

// attrs makes attributes of name, value pairs: texts and numbers.
func attrs(pairs ...any) []*commonpb.KeyValue {
	cache := probes.NewCache()
	var list []*commonpb.KeyValue
	for i := 0; i < len(pairs); i += 2 {
		switch value := pairs[i+1].(type) {
		case string:
			list = append(list, probes.Attribute(pairs[i].(string), value))
		case int:
			list = append(list, cache.Int(pairs[i].(string), int64(value)))
		}
	}
	return list
}
