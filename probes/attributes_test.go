package probes

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/testing/protocmp"
)

func TestAttributes(t *testing.T) {
	text := func(key, value string) *commonpb.KeyValue {
		return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
	}
	number := func(key string, value int64) *commonpb.KeyValue {
		return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: value}}}
	}
	want := []*commonpb.KeyValue{text("a", "1"), number("b", -2), text("c", ""), number("d", 0), text("e", "5"), text("f", "6")}
	for _, room := range []int{0, 1, 6, 16} { // more than there is room for are kept too
		a := NewAttributes(room)
		a.String("a", "1")
		a.Int("b", -2)
		a.String("c", "")
		a.Int("d", 0)
		a.String("e", "5")
		a.String("f", "6")
		if diff := cmp.Diff(want, a.List(), protocmp.Transform()); diff != "" {
			t.Errorf("room for %d: %s", room, diff)
		}
	}
	if got := NewAttributes(4).List(); len(got) != 0 {
		t.Errorf("no attributes: %v", got)
	}
}

// All attributes of a span are three allocations: the collection, the slots and the list.
func TestAttributesAllocations(t *testing.T) {
	var list []*commonpb.KeyValue
	n := testing.AllocsPerRun(100, func() {
		a := NewAttributes(16)
		for range 8 {
			a.String("key", "value")
			a.Int("key", 1)
		}
		list = a.List()
	})
	if n > 3 || len(list) != 16 {
		t.Errorf("%v allocations for %d attributes", n, len(list))
	}
}
