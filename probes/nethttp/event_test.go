package nethttp

import (
	"testing"
	"unsafe"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/probes"
)

// sent is what the programs saw of a request; event makes of it the bytes that they would send.
type sent struct {
	method, target, host, remoteAddr, userAgent            string
	forwarded, forwardedFor, forwardedProto, forwardedHost string
	traceState, route, panicText                           string
	fixed                                                  serverHttpServerEvent // all that is no text
}

func (s sent) event() []byte {
	ev := s.fixed
	for _, piece := range []struct {
		at   *serverSpanText
		text string
	}{
		{&ev.Method, s.method}, {&ev.RequestTarget, s.target}, {&ev.Host, s.host}, {&ev.RemoteAddr, s.remoteAddr},
		{&ev.UserAgent, s.userAgent}, {&ev.Forwarded, s.forwarded}, {&ev.ForwardedFor, s.forwardedFor},
		{&ev.ForwardedProto, s.forwardedProto}, {&ev.ForwardedHost, s.forwardedHost}, {&ev.TraceState, s.traceState},
		{&ev.Route, s.route}, {&ev.Panic.Text, s.panicText},
	} {
		if piece.text == "" {
			continue
		}
		*piece.at = serverSpanText{Off: ev.Text.Used, Len: uint16(len(piece.text))}
		ev.Text.Used += uint16(copy(ev.Text.Data[ev.Text.Used:], piece.text))
	}
	return raw(&ev)[:int(fixed)+int(ev.Text.Used)]
}

func raw(ev *serverHttpServerEvent) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(ev)), unsafe.Sizeof(*ev))
}

// types are the type descriptors of the traced program.
var types = map[uint64]string{
	1: "*errors.errorString", 2: "string", 3: "runtime.boundsError", 4: "runtime.errorString",
	5: "runtime.plainError", 6: "runtime.errorAddressString", 7: "int",
}

func target() probes.Target {
	return probes.Target{
		Interval: func(start, end uint64) (uint64, uint64) { return start + 1000, end + 1000 },
		TypeName: func(addr uint64) (string, bool) { name, ok := types[addr]; return name, ok },
	}
}

// newDecoder returns a decoder in an environment of name, value pairs.
func newDecoder(t testing.TB, env ...string) probes.Decoder {
	t.Helper()
	decode, err := newServerDecoder(func(name string) string {
		for i := 0; i < len(env); i += 2 {
			if env[i] == name {
				return env[i+1]
			}
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
	return decode
}

func decode(t testing.TB, s sent, env ...string) *tracepb.Span {
	t.Helper()
	event := s.event()
	head, ok := bpf.Head(event)
	if !ok {
		t.Fatal("the event has no head")
	}
	span, err := newDecoder(t, env...)(head, event, target())
	if err != nil {
		t.Fatal(err)
	}
	return span
}

// list makes attributes of name, value pairs; values are strings and ints.
func list(pairs ...any) []*commonpb.KeyValue {
	var all []*commonpb.KeyValue
	for i := 0; i < len(pairs); i += 2 {
		kv := &commonpb.KeyValue{Key: pairs[i].(string)}
		switch v := pairs[i+1].(type) {
		case string:
			kv.Value = &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: v}}
		case int:
			kv.Value = &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: int64(v)}}
		}
		all = append(all, kv)
	}
	return all
}

// only keeps the attributes whose names are given.
func only(all []*commonpb.KeyValue, names ...string) []*commonpb.KeyValue {
	var kept []*commonpb.KeyValue
	for _, kv := range all {
		for _, name := range names {
			if kv.Key == name {
				kept = append(kept, kv)
			}
		}
	}
	return kept
}

// get is a plain request, answered with 200.
func get() sent {
	s := sent{method: "GET", target: "/", host: "shop.example", remoteAddr: "192.0.2.1:4711"}
	s.fixed.ProtoMajor, s.fixed.ProtoMinor = 1, 1
	s.fixed.HeaderWritten, s.fixed.Status = 1, 200
	return s
}
