package export

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

// TestWire: what is sent is the span, whether its attributes were encoded before or not.
func TestWire(t *testing.T) {
	w := newWire()
	span := testSpan(1)
	span.TraceState, span.Flags, span.DroppedAttributesCount, span.DroppedEventsCount, span.DroppedLinksCount = "a=b", 0x301, 1, 2, 3
	span.Events = []*tracepb.Span_Event{{Name: "exception", TimeUnixNano: 5}}
	span.Links = []*tracepb.Span_Link{{TraceId: span.TraceId, SpanId: span.SpanId}}
	span.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: "it failed"}
	for range 2 {
		prepared, err := w.prepare(span)
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := proto.Marshal(prepared)
		if err != nil {
			t.Fatal(err)
		}
		var got tracepb.Span
		if err := proto.Unmarshal(encoded, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(span, &got, protocmp.Transform()); diff != "" {
			t.Errorf("decoded (-want +got):\n%s", diff)
		}
	}
}

// TestWireFieldsComplete fails when a Span gets a field that prepare does not carry.
func TestWireFieldsComplete(t *testing.T) {
	const known = 16 // fields of trace.v1.Span in proto/otlp v1.11
	if n := new(tracepb.Span).ProtoReflect().Descriptor().Fields().Len(); n != known {
		t.Errorf("a Span has %d fields, not %d: let prepare carry the new one", n, known)
	}
}

func TestWireForgets(t *testing.T) {
	w := newWire()
	for i := range 2 * encodedMax {
		span := testSpan(i)
		if _, err := w.prepare(span); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(w.encoded); n == 0 || n > encodedMax {
		t.Errorf("%d attributes are kept, want at most %d", n, encodedMax)
	}
}
