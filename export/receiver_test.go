package export

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// receiver is an OTLP/HTTP server that keeps what it accepts.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	received []*tracepb.ResourceSpans
}

// newReceiver starts a receiver; answer, which may be nil, handles a request after it was read, attempt counting from 1.
func newReceiver(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, attempt int)) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(r.handler(t, answer))
	t.Cleanup(r.Close)
	return r
}

func (rec *receiver) handler(t *testing.T, answer func(http.ResponseWriter, *http.Request, int)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && r.Header.Get("Content-Encoding") == "gzip" {
			body, err = gunzip(body)
		}
		var request coltracepb.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &request)
		}
		if err != nil {
			t.Errorf("receiver: %v", err)
		}
		rec.mu.Lock()
		rec.requests = append(rec.requests, r)
		attempt := len(rec.requests)
		if answer == nil {
			rec.received = append(rec.received, request.ResourceSpans...)
		}
		rec.mu.Unlock()
		if answer != nil {
			answer(w, r, attempt)
		}
	})
}

func gunzip(b []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// cleanEnv unsets every variable that the configuration reads and then sets the given ones.
func cleanEnv(t *testing.T, env map[string]string) {
	t.Helper()
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
}

// exportCall is one call of the OnExport callback.
type exportCall struct {
	Exporter string
	Lost     int
	Err      string
}

// observed is a pipeline under test and what its callback heard.
type observed struct {
	*Pipeline
	mu    sync.Mutex
	calls []exportCall
}

func (o *observed) seen() []exportCall {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]exportCall(nil), o.calls...)
}

// newObserved makes a pipeline from the environment.
func newObserved(t *testing.T, env map[string]string, opts ...Option) *observed {
	t.Helper()
	cleanEnv(t, env)
	cfg, err := ConfigFromEnv(os.Getenv, "otlp")
	if err != nil {
		t.Fatal(err)
	}
	o := &observed{}
	opts = append(opts, OnExport(func(exporter string, lost int, _ time.Duration, err error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		call := exportCall{Exporter: exporter, Lost: lost}
		if err != nil {
			call.Err = err.Error()
		}
		o.calls = append(o.calls, call)
	}))
	if o.Pipeline, err = New(cfg, opts...); err != nil {
		t.Fatal(err)
	}
	return o
}

// within returns a context that ends after d, and with the test.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// checkGoroutines fails the test if goroutines of this package or of its connections outlive the test's body. Call it first,
// so that it is the last to run.
func checkGoroutines(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		deadline := time.Now().Add(3 * time.Second)
		for runtime.NumGoroutine() > before {
			if time.Now().After(deadline) {
				stacks := make([]byte, 1<<20)
				t.Errorf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}

var (
	shop     = &resourcepb.Resource{Attributes: []*commonpb.KeyValue{stringAttribute("service.name", "shop")}}
	stock    = &resourcepb.Resource{Attributes: []*commonpb.KeyValue{stringAttribute("service.name", "stock")}}
	netHTTP  = &commonpb.InstrumentationScope{Name: "net/http", Version: "1"}
	database = &commonpb.InstrumentationScope{Name: "database/sql", Version: "1"}
)

// testSpan returns a server span that differs from those of other numbers.
func testSpan(n int) *tracepb.Span {
	return &tracepb.Span{
		TraceId:           fmt.Appendf(nil, "trace-%010d", n),
		SpanId:            fmt.Appendf(nil, "%08d", n),
		Name:              "GET /items/{id}",
		Kind:              tracepb.Span_SPAN_KIND_SERVER,
		StartTimeUnixNano: 1_700_000_000_000_000_000 + uint64(n),
		EndTimeUnixNano:   1_700_000_000_001_000_000 + uint64(n),
		Attributes: []*commonpb.KeyValue{
			stringAttribute("http.request.method", "GET"),
			stringAttribute("http.route", "/items/{id}"),
			stringAttribute("url.path", fmt.Sprint("/items/", n)),
			stringAttribute("url.scheme", "http"),
			intAttribute("http.response.status_code", 200),
			stringAttribute("server.address", "shop.example"),
			intAttribute("server.port", 8080),
			stringAttribute("client.address", "10.0.0.7"),
			stringAttribute("network.protocol.version", "1.1"),
			stringAttribute("user_agent.original", "wrk/4.1"),
		},
	}
}

func testSpans(n int) []*tracepb.Span {
	spans := make([]*tracepb.Span, n)
	for i := range spans {
		spans[i] = testSpan(i)
	}
	return spans
}
