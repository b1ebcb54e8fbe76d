package export

import (
	"context"
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
