package probes

import (
	"fmt"
	"strings"
	"unsafe"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/remora-agent/remora/bpf"
)

// Event copies an event from the ring buffer into *dst, a type that bpf2go made from the C one. An event may end early, but not
// before its first fixed bytes: what follows them is text of which only the used part is sent.
func Event[T any](dst *T, event []byte, fixed uintptr) error {
	size := unsafe.Sizeof(*dst)
	if n := uintptr(len(event)); n < fixed || n > size+7 { // the ring buffer rounds up to 8
		return fmt.Errorf("an event of %d bytes, want %d to %d", n, fixed, size)
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(dst)), size), event)
	return nil
}

// Text returns length bytes of an event's text from at, as valid UTF-8; a piece that points outside is empty.
func Text(data []byte, at, length uint16) string {
	off, end := int(at), int(at)+int(length)
	if end > len(data) || off == end {
		return ""
	}
	return strings.ToValidUTF8(string(data[off:end]), "\uFFFD")
}

// The upper bits of a span's flags:
// https://github.com/open-telemetry/opentelemetry-proto/blob/v1.11.0/opentelemetry/proto/trace/v1/trace.proto
const (
	flagsHasIsRemote = uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
	flagsIsRemote    = uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
)

// NewSpan makes a span of an event's head: IDs, parent, flags and times.
func NewSpan(h *bpf.SpanHead, kind tracepb.Span_SpanKind, target Target) *tracepb.Span {
	start, end := target.Interval(h.Start, h.End)
	s := &tracepb.Span{
		TraceId:           append([]byte(nil), h.TraceId[:]...),
		SpanId:            append([]byte(nil), h.SpanId[:]...),
		Kind:              kind,
		Flags:             uint32(h.TraceFlags) | flagsHasIsRemote,
		StartTimeUnixNano: start,
		EndTimeUnixNano:   end,
	}
	if h.ParentId != [8]uint8{} {
		s.ParentSpanId = append([]byte(nil), h.ParentId[:]...)
	}
	if h.RemoteParent != 0 {
		s.Flags |= flagsIsRemote
	}
	return s
}
