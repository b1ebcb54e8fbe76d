package probes

import (
	"fmt"
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

// Piece returns length bytes of an event's text from at, or what they are the address of, a constant of the program. What points
// outside is empty, and so is what nobody can read.
func (t Target) Piece(data []byte, at, length uint16) []byte {
	off, end := int(at), int(at)+int(length&^bpf.TextByAddress)
	if end > len(data) {
		return nil
	}
	if length&bpf.TextByAddress == 0 {
		return data[off:end]
	}
	var text bpf.TextAddress
	if end-off != int(unsafe.Sizeof(text)) || t.Constant == nil {
		return nil
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&text)), unsafe.Sizeof(text)), data[off:end])
	if text.Len > bpf.TextLongest {
		return nil
	}
	return t.Constant(text.Ptr, int(text.Len))
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
	ids := make([]byte, 0, len(h.TraceId)+len(h.SpanId)+len(h.ParentId)) // one allocation for the three
	ids = append(append(append(ids, h.TraceId[:]...), h.SpanId[:]...), h.ParentId[:]...)
	s := &tracepb.Span{
		TraceId:           ids[:16:16],
		SpanId:            ids[16:24:24],
		Kind:              kind,
		Flags:             uint32(h.TraceFlags) | flagsHasIsRemote,
		StartTimeUnixNano: start,
		EndTimeUnixNano:   end,
	}
	if h.ParentId != [8]uint8{} {
		s.ParentSpanId = ids[24:]
	}
	if h.RemoteParent != 0 {
		s.Flags |= flagsIsRemote
	}
	return s
}
