package nethttp

import (
	"bytes"
	"testing"
	"unicode/utf8"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/remora-agent/remora/bpf"
)

// The head of a probe's event must lie where the agent reads it.
func TestEventHead(t *testing.T) {
	var ev serverHttpServerEvent
	if at, size := unsafe.Offsetof(ev.Head), unsafe.Sizeof(ev.Head); at != 0 || size != unsafe.Sizeof(bpf.SpanHead{}) {
		t.Errorf("the head is %d bytes at %d, want %d at 0", size, at, unsafe.Sizeof(bpf.SpanHead{}))
	}
}

func TestDecodeBadLength(t *testing.T) {
	decode := newDecoder(t)
	whole := raw(new(serverHttpServerEvent))
	for _, tt := range []struct {
		length int
		ok     bool
	}{
		{0, false}, {1, false}, {int(fixed) - 1, false}, {int(fixed), true}, {int(fixed) + 1, true},
		{len(whole), true}, {len(whole) + 7, true}, {len(whole) + 8, false}, {1 << 16, false},
	} {
		event := make([]byte, tt.length)
		span, err := decode(new(bpf.SpanHead), event, target())
		if (err == nil) != tt.ok || (span != nil) != tt.ok {
			t.Errorf("%d bytes: span %v, error %v", tt.length, span, err)
		}
	}
}

// What an event does not carry must not come from the one before it.
func TestDecodeForgetsEarlierEvents(t *testing.T) {
	decode := newDecoder(t)
	long, short := get(), get()
	long.target = "/" + string(bytes.Repeat([]byte("secret"), 100))
	event := short.event()
	ev := (*serverHttpServerEvent)(unsafe.Pointer(unsafe.SliceData(append(event, make([]byte, 4096)...))))
	ev.RequestTarget.Len = 600 // more than the event has
	cut := raw(ev)[:len(event)]
	head, _ := bpf.Head(cut)
	if _, err := decode(head, long.event(), target()); err != nil {
		t.Fatal(err)
	}
	span, err := decode(head, cut, target())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(list("url.path", ""), only(span.Attributes, "url.path"), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

// A span does not point into the event, whose memory the ring buffer uses again.
func TestSpanIsACopy(t *testing.T) {
	decode := newDecoder(t)
	s := get()
	s.fixed.Head.TraceId[0], s.fixed.Head.ParentId[0] = 1, 2
	event := s.event()
	head, _ := bpf.Head(event)
	span, err := decode(head, event, target())
	if err != nil {
		t.Fatal(err)
	}
	before := proto.Clone(span)
	clear(event)
	if _, err := decode(head, event, target()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, span, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

// FuzzDecode: any bytes are an error or a span that can be sent.
func FuzzDecode(f *testing.F) {
	plain, crashed := get(), get()
	crashed.ended(panicked, 2)
	crashed.panicText = "boom"
	crashed.forwarded, crashed.traceState, crashed.fixed.Head.ParentId[0] = `for="[::1]:1";host="a`, "a=b,c", 1
	for _, s := range []sent{plain, crashed} {
		f.Add(s.event())
		f.Add(s.event()[:fixed])
	}
	f.Add([]byte(nil))
	f.Add(bytes.Repeat([]byte{0xff}, int(unsafe.Sizeof(serverHttpServerEvent{}))))
	decode := newDecoder(f)
	f.Fuzz(func(t *testing.T, event []byte) {
		head, ok := bpf.Head(event)
		if !ok {
			return
		}
		span, err := decode(head, event, target())
		if err != nil {
			return
		}
		if !utf8.ValidString(span.Name) {
			t.Errorf("name %q", span.Name)
		}
		if _, err := proto.Marshal(span); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	decode := newDecoder(b)
	s := get()
	s.route, s.userAgent = "GET /items/{id}", "curl/8.5"
	event := s.event()
	head, _ := bpf.Head(event)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decode(head, event, target()); err != nil {
			b.Fatal(err)
		}
	}
}
