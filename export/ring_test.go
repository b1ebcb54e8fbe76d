package export

import (
	"slices"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// TestRing compares the ring with a slice while both grow, wrap around and run empty.
func TestRing(t *testing.T) {
	var r ring
	var model []item
	for step := range 2000 {
		for range step % 7 {
			it := item{span: &tracepb.Span{}}
			r.push(it)
			model = append(model, it)
		}
		n := step * 5 % 9
		got := r.pop(nil, n)
		want := model[:min(n, len(model))]
		model = model[len(want):]
		if !slices.Equal(got, want) || r.count != len(model) {
			t.Fatalf("step %d: got %d items, want %d; %d left, want %d", step, len(got), len(want), r.count, len(model))
		}
	}
	r.pop(nil, r.count)
	if slices.ContainsFunc(r.slots, func(it item) bool { return it != item{} }) {
		t.Error("an empty ring holds on to spans")
	}
}
