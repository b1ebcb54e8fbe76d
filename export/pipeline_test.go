package export

import (
	"context"
	"sync"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// encoder is an OTLP client that encodes what it is given, as the real ones do, and sends it nowhere.
type encoder struct{ bytes int }

func (*encoder) Start(context.Context) error { return nil }
func (*encoder) Stop(context.Context) error  { return nil }

func (e *encoder) UploadTraces(_ context.Context, spans []*tracepb.ResourceSpans) error {
	text, err := proto.Marshal(&coltracepb.ExportTraceServiceRequest{ResourceSpans: spans})
	e.bytes += len(text)
	return err
}

// sizes is a destination that takes everything and notes the sizes of the batches.
type sizes struct{ batches chan int }

func (s sizes) send(_ context.Context, batch []item) outcome {
	if len(batch) > 0 {
		s.batches <- len(batch)
	}
	return outcome{exported: len(batch)}
}

func (sizes) finish(context.Context) outcome { return outcome{} }

func startSizes(t *testing.T, env map[string]string) (*observed, sizes) {
	t.Helper()
	checkGoroutines(t)
	cfg, err := ConfigFromEnv(envOf(env), "otlp")
	if err != nil {
		t.Fatal(err)
	}
	s := sizes{make(chan int, 1000)}
	o := options{onExport: func(string, int, time.Duration, error) {}}
	return &observed{Pipeline: start(cfg, o, map[string]destination{"otlp": s})}, s
}

func TestBatchIsSentWhenFull(t *testing.T) {
	p, s := startSizes(t, map[string]string{"OTEL_BSP_SCHEDULE_DELAY": "3600000", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10"})
	p.Add(shop, netHTTP, testSpans(25)...)
	for range 2 {
		select {
		case n := <-s.batches:
			if n != 10 {
				t.Errorf("batch of %d, want 10", n)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("no batch came")
		}
	}
	if s := p.Stats(); s.Exported["otlp"] > 20 || s.Queued < 5 {
		t.Errorf("the started batch was not left to fill: %+v", s)
	}
	if err := p.Shutdown(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	if n := <-s.batches; n != 5 {
		t.Errorf("last batch of %d, want 5", n)
	}
	checkStats(t, p, 25, 25)
}

func TestBatchIsSentAfterDelay(t *testing.T) {
	p, s := startSizes(t, map[string]string{"OTEL_BSP_SCHEDULE_DELAY": "20"})
	p.Add(shop, netHTTP, testSpans(3)...)
	select {
	case n := <-s.batches:
		if n != 3 {
			t.Errorf("batch of %d, want 3", n)
		}
	case <-time.After(5 * time.Second):
		t.Error("no batch came")
	}
	if err := p.Shutdown(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	checkStats(t, p, 3, 3)
}

func TestEverySpanIsCountedOnce(t *testing.T) {
	p, s := startSizes(t, map[string]string{
		"OTEL_BSP_SCHEDULE_DELAY": "1", "OTEL_BSP_MAX_QUEUE_SIZE": "50", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "20",
	})
	go func() {
		for range s.batches { // a slow receiver
			time.Sleep(time.Millisecond)
		}
	}()
	const goroutines, each = 4, 2000
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i := range each {
				p.Add(shop, netHTTP, testSpan(i))
				if i%100 == 0 {
					p.Stats()
				}
				if i == each/2 {
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	time.Sleep(5 * time.Millisecond)
	if err := p.Shutdown(within(t, 5*time.Second)); err != nil { // while others still add
		t.Error(err)
	}
	wg.Wait()
	close(s.batches)
	checkStats(t, p, goroutines*each, p.Stats().Exported["otlp"])
}

func TestNoExporter(t *testing.T) {
	p := newObserved(t, map[string]string{"OTEL_TRACES_EXPORTER": "none"})
	p.Add(shop, netHTTP, testSpan(1))
	if err := p.Shutdown(within(t, time.Second)); err != nil {
		t.Error(err)
	}
	checkStats(t, p, 0, 0)
}

// BenchmarkAddAndEncode measures what one span costs from Add to its encoded form, grouping included.
func BenchmarkAddAndEncode(b *testing.B) {
	cfg, err := ConfigFromEnv(envOf(nil), "otlp")
	if err != nil {
		b.Fatal(err)
	}
	cfg.MaxQueueSize = b.N + 1
	e := &encoder{}
	o := options{onExport: func(string, int, time.Duration, error) {}}
	p := start(cfg, o, map[string]destination{"otlp": &otlp{client: e, timeout: cfg.ExportTimeout}})
	spans := testSpans(1024)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		p.Add(shop, netHTTP, spans[i%len(spans)])
	}
	if err := p.Shutdown(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if s := p.Stats(); s.Exported["otlp"] != uint64(b.N) {
		b.Fatalf("%+v", s)
	}
	b.ReportMetric(float64(e.bytes)/float64(b.N), "wire-B/op")
}
