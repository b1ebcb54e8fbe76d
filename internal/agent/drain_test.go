package agent

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/export"
	"github.com/remora-agent/remora/probes"
)

func eventOf(target uint32, probe uint32) []byte {
	head := bpf.SpanHead{Target: target, Probe: probe}
	return bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&head)), unsafe.Sizeof(head)))
}

// TestHandle: every event is a span or is counted, by reason.
func TestHandle(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	pipeline, err := export.New(export.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer pipeline.Shutdown(context.Background())
	spans := 0
	a := &Agent{
		cfg:      Config{Log: zap.New(core)},
		targets:  newTargets(),
		pipeline: pipeline,
		decoders: []probes.Decoder{
			func(*bpf.SpanHead, []byte, probes.Target) (*tracepb.Span, error) {
				spans++
				return &tracepb.Span{}, nil
			},
			func(*bpf.SpanHead, []byte, probes.Target) (*tracepb.Span, error) { return nil, errors.New("broken") },
		},
	}
	a.targets.put(&target{id: 1, scopes: make([]*commonpb.InstrumentationScope, 2)})
	for _, event := range [][]byte{
		eventOf(1, 0), eventOf(1, 0), // spans
		nil, eventOf(1, 0)[:10], eventOf(1, 2), eventOf(1, 1<<32-1), // malformed
		eventOf(1, 1), eventOf(1, 1), // the probe's decoder refuses
		eventOf(2, 0), // nobody's
	} {
		a.handle(event)
	}
	got := map[string]uint64{
		"spans": uint64(spans), "decode": a.counters.decode.Load(), "unknown": a.counters.unknown.Load(),
	}
	if diff := cmp.Diff(map[string]uint64{"spans": 2, "decode": 6, "unknown": 1}, got); diff != "" {
		t.Error(diff)
	}
	if n := logs.Len(); n > 1 {
		t.Errorf("%d lines are logged for the same cause", n)
	}
}

// The first event that a decoder refuses is logged, also when shorter ones came before.
func TestHandleLogsOnce(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	a := &Agent{
		cfg: Config{Log: zap.New(core)}, targets: newTargets(),
		decoders: []probes.Decoder{
			func(*bpf.SpanHead, []byte, probes.Target) (*tracepb.Span, error) { return nil, errors.New("broken") },
		},
	}
	a.targets.put(&target{id: 1})
	a.handle(nil)
	for range 3 {
		a.handle(eventOf(1, 0))
	}
	if n := logs.Len(); n != 1 {
		t.Errorf("%d lines, want 1", n)
	}
}

func TestNewCause(t *testing.T) {
	var c counters
	steps := []struct {
		exporter string
		err      error
		want     bool
	}{
		{"otlp", nil, false}, // works from the start: nothing to say
		{"otlp", errors.New("refused"), true},
		{"otlp", errors.New("refused"), false},
		{"console", errors.New("refused"), true},
		{"otlp", errors.New("timeout"), true},
		{"otlp", nil, true},
		{"otlp", nil, false},
	}
	for i, step := range steps {
		if got := c.newCause(step.exporter, step.err); got != step.want {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
}
