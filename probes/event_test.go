package probes

import (
	"encoding/binary"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/remora-agent/remora/bpf"
)

type event struct {
	A, B uint32
	Text [16]byte
}

func TestEvent(t *testing.T) {
	const fixed = unsafe.Offsetof(event{}.Text)
	whole := make([]byte, 31)
	for i := range whole {
		whole[i] = byte(i + 1)
	}
	tests := []struct {
		length int
		ok     bool
	}{{0, false}, {7, false}, {8, true}, {9, true}, {24, true}, {31, true}, {32, false}, {4096, false}}
	for _, tt := range tests {
		var got event
		err := Event(&got, append(whole, make([]byte, 4096)...)[:tt.length], fixed)
		if (err == nil) != tt.ok {
			t.Errorf("%d bytes: %v", tt.length, err)
			continue
		}
		var want event
		if tt.ok {
			copy(unsafe.Slice((*byte)(unsafe.Pointer(&want)), unsafe.Sizeof(want)), whole[:min(tt.length, 24)])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d bytes: %s", tt.length, diff)
		}
	}
}

func TestText(t *testing.T) {
	data := []byte("hello, w\xffrld")
	tests := []struct {
		at, length uint16
		want       string
	}{
		{0, 5, "hello"},
		{0, 0, ""},
		{7, 5, "w\uFFFDrld"},
		{7, 6, ""},
		{12, 0, ""},
		{13, 1, ""},
		{65535, 65535, ""},
		{0, 65535, ""},
	}
	for _, tt := range tests {
		if got := Text(Target{}.Piece(data, tt.at, tt.length)); got != tt.want {
			t.Errorf("Text(%d, %d) = %q, want %q", tt.at, tt.length, got, tt.want)
		}
	}
	if got := Text(Target{}.Piece(nil, 0, 1)); got != "" {
		t.Errorf("text of nothing: %q", got)
	}
}

// TestPieceAbsent: instead of a text that was not present, its address and length are there.
func TestPieceAbsent(t *testing.T) {
	constants := "SELECT title FROM songs"
	target := Target{Constant: func(addr uint64, n int) []byte {
		if addr < 0x1000 || addr+uint64(n) > 0x1000+uint64(len(constants)) {
			return nil
		}
		return []byte(constants[addr-0x1000:][:n])
	}}
	absent := func(addr, n uint64) []byte {
		return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64([]byte("GET "), addr), n)
	}
	tests := []struct {
		name   string
		target Target
		data   []byte
		length uint16
		want   string
	}{
		{"constant", target, absent(0x1007, 5), bpf.TextByAddress | 16, "title"},
		{"none there", target, absent(0x2000, 5), bpf.TextByAddress | 16, ""},
		{"too long for any", target, absent(0x1007, bpf.TextLongest+1), bpf.TextByAddress | 16, ""},
		{"not an address", target, absent(0x1007, 5), bpf.TextByAddress | 15, ""},
		{"cut", target, absent(0x1007, 5)[:19], bpf.TextByAddress | 16, ""},
		{"nobody to ask", Target{}, absent(0x1007, 5), bpf.TextByAddress | 16, ""},
	}
	for _, tt := range tests {
		if got := Text(tt.target.Piece(tt.data, 4, tt.length)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestNewSpan(t *testing.T) {
	target := Target{Interval: func(start, end uint64) (uint64, uint64) { return start + 100, end + 100 }}
	head := func(change func(*bpf.SpanHead)) *bpf.SpanHead {
		h := &bpf.SpanHead{Start: 1, End: 2, TraceId: [16]uint8{15: 1}, SpanId: [8]uint8{7: 2}}
		change(h)
		return h
	}
	span := func(change func(*tracepb.Span)) *tracepb.Span {
		s := &tracepb.Span{
			TraceId: append(make([]byte, 15), 1), SpanId: append(make([]byte, 7), 2),
			Kind: tracepb.Span_SPAN_KIND_CLIENT, Flags: 0x100, StartTimeUnixNano: 101, EndTimeUnixNano: 102,
		}
		change(s)
		return s
	}
	tests := []struct {
		name string
		head *bpf.SpanHead
		want *tracepb.Span
	}{
		{"root", head(func(h *bpf.SpanHead) {}), span(func(s *tracepb.Span) {})},
		{"sampled root", head(func(h *bpf.SpanHead) { h.TraceFlags = 1 }), span(func(s *tracepb.Span) { s.Flags = 0x101 })},
		{"local parent", head(func(h *bpf.SpanHead) { h.ParentId[7] = 3 }),
			span(func(s *tracepb.Span) { s.ParentSpanId = append(make([]byte, 7), 3) })},
		{"remote parent", head(func(h *bpf.SpanHead) { h.ParentId[0], h.RemoteParent, h.TraceFlags = 3, 1, 1 }),
			span(func(s *tracepb.Span) { s.ParentSpanId, s.Flags = append([]byte{3}, make([]byte, 7)...), 0x301 })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := NewSpan(tt.head, tracepb.Span_SPAN_KIND_CLIENT, target)
			*tt.head = bpf.SpanHead{} // the span must not refer to it
			if diff := cmp.Diff(tt.want, got, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
