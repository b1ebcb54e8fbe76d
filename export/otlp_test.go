package export

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

func TestOTLPHTTPCarriesWholeSpans(t *testing.T) {
	spans := testSpans(3)
	want := []*tracepb.ResourceSpans{
		{Resource: shop, SchemaUrl: semconv.SchemaURL, ScopeSpans: []*tracepb.ScopeSpans{
			{Scope: netHTTP, SchemaUrl: semconv.SchemaURL, Spans: []*tracepb.Span{testSpan(0), testSpan(2)}},
			{Scope: database, SchemaUrl: semconv.SchemaURL, Spans: []*tracepb.Span{testSpan(1)}},
		}},
		{Resource: stock, SchemaUrl: semconv.SchemaURL, ScopeSpans: []*tracepb.ScopeSpans{
			{Scope: netHTTP, SchemaUrl: semconv.SchemaURL, Spans: []*tracepb.Span{testSpan(3)}},
		}},
	}
	for _, compression := range []string{"none", "gzip"} {
		t.Run(compression, func(t *testing.T) {
			checkGoroutines(t)
			rec := newReceiver(t, nil)
			p := newObserved(t, map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT":    rec.URL,
				"OTEL_EXPORTER_OTLP_COMPRESSION": compression,
				"OTEL_EXPORTER_OTLP_HEADERS":     "x-tenant=a%20b",
			})
			p.Add(shop, netHTTP, spans[0])
			p.Add(shop, database, spans[1])
			p.Add(shop, netHTTP, spans[2])
			p.Add(stock, netHTTP, testSpan(3))
			if err := p.Shutdown(within(t, 5*time.Second)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, rec.received, protocmp.Transform()); diff != "" {
				t.Errorf("received (-want +got):\n%s", diff)
			}
			if len(rec.requests) != 1 {
				t.Fatalf("%d requests, want 1", len(rec.requests))
			}
			r := rec.requests[0]
			if r.URL.Path != "/v1/traces" || r.Header.Get("x-tenant") != "a b" {
				t.Errorf("path %q, headers %v", r.URL.Path, r.Header)
			}
			checkStats(t, p, 4, 4)
			if diff := cmp.Diff([]exportCall{{Exporter: "otlp"}}, p.seen()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

// checkStats wants every added span either exported or dropped.
func checkStats(t *testing.T, p *observed, added, exported uint64) {
	t.Helper()
	s := p.Stats()
	var dropped, out uint64
	for _, n := range s.Dropped {
		dropped += n
	}
	for _, n := range s.Exported {
		out += n
	}
	if out != exported || out+dropped != added || s.Queued != 0 {
		t.Errorf("added %d, want %d exported and the rest dropped: %+v", added, exported, s)
	}
}

func TestOTLPHTTPFailures(t *testing.T) {
	partial, err := proto.Marshal(&coltracepb.ExportTraceServiceResponse{PartialSuccess: &coltracepb.ExportTracePartialSuccess{
		RejectedSpans: 2, ErrorMessage: "too \x1b[31mold",
	}})
	if err != nil {
		t.Fatal(err)
	}
	respond := func(code int, header http.Header, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			for name := range header {
				w.Header().Set(name, header.Get(name))
			}
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		}
	}
	tests := []struct {
		name     string
		answers  []func(http.ResponseWriter) // the last one is repeated
		exported uint64
		requests int // 0: any number
		err      string
	}{
		{"400 is not retried", []func(http.ResponseWriter){respond(400, nil, "bad\nrequest")}, 0, 1,
			"cannot send traces to URL: 400 Bad Request: bad�request (the receiver takes no OTLP here, or not this version)"},
		{"401", []func(http.ResponseWriter){respond(401, nil, "")}, 0, 1,
			"cannot send traces to URL: 401 Unauthorized (set the credentials in OTEL_EXPORTER_OTLP_HEADERS)"},
		{"404", []func(http.ResponseWriter){respond(404, nil, "")}, 0, 1,
			"cannot send traces to URL: 404 Not Found (check the path in OTEL_EXPORTER_OTLP_ENDPOINT)"},
		{"429 then 200", []func(http.ResponseWriter){respond(429, http.Header{"Retry-After": {"1"}}, ""), respond(200, nil, "")}, 5, 2, ""},
		{"503 then 200", []func(http.ResponseWriter){respond(503, nil, ""), respond(200, nil, "")}, 5, 2, ""},
		{"503 for ever", []func(http.ResponseWriter){respond(503, nil, "tired")}, 0, 0,
			"cannot send traces to URL: 503 Service Unavailable: tired (retried until OTEL_BSP_EXPORT_TIMEOUT)"},
		{"429 for an hour", []func(http.ResponseWriter){respond(429, http.Header{"Retry-After": {"3600"}}, "")}, 0, 1,
			"cannot send traces to URL: 429 Too Many Requests (retried until OTEL_BSP_EXPORT_TIMEOUT)"},
		{"some rejected", []func(http.ResponseWriter){respond(200, http.Header{"Content-Type": {"application/x-protobuf"}}, string(partial))}, 3, 1,
			"cannot send traces to URL: the receiver rejected spans: too �[31mold"},
		{"some rejected, JSON", []func(http.ResponseWriter){respond(200, http.Header{"Content-Type": {"application/json; charset=utf-8"}},
			`{"partialSuccess": {"rejectedSpans": "1", "errorMessage": "too old"}}`)}, 4, 1,
			"cannot send traces to URL: the receiver rejected spans: too old"},
		{"web page", []func(http.ResponseWriter){respond(200, http.Header{"Content-Type": {"text/html"}}, "<html>")}, 0, 1,
			`cannot send traces to URL: the answer is no OTLP: 200 OK with content of type "text/html" ` +
				"(is OTEL_EXPORTER_OTLP_ENDPOINT the URL of an OTLP receiver?)"},
		{"content without a type", []func(http.ResponseWriter){respond(202, http.Header{"Content-Type": {""}}, "thanks")}, 0, 1,
			`cannot send traces to URL: the answer is no OTLP: 202 Accepted with content of type ""`},
		{"nothing of any type", []func(http.ResponseWriter){respond(200, http.Header{"Content-Type": {"text/html"}}, "")}, 5, 1, ""},
		{"nothing", []func(http.ResponseWriter){respond(204, nil, "")}, 5, 1, ""},
		{"nothing, in chunks", []func(http.ResponseWriter){func(w http.ResponseWriter) { w.(http.Flusher).Flush() }}, 5, 1, ""},
		{"no OTLP", []func(http.ResponseWriter){respond(200, http.Header{"Content-Type": {"application/x-protobuf"}}, "hello")}, 0, 1, "cannot send traces to URL: the answer is no OTLP: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkGoroutines(t)
			rec := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, attempt int) {
				tt.answers[min(attempt, len(tt.answers))-1](w)
			})
			p := newObserved(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": rec.URL, "OTEL_BSP_EXPORT_TIMEOUT": "3000"})
			p.Add(shop, netHTTP, testSpans(5)...)
			err := p.Shutdown(within(t, 10*time.Second))
			checkStats(t, p, 5, tt.exported)
			got, lost := "", 0
			for _, call := range p.seen() {
				lost += call.Lost
				got += strings.ReplaceAll(call.Err, rec.URL+"/v1/traces", "URL")
			}
			if !strings.HasPrefix(got, tt.err) || tt.err == "" && got != "" {
				t.Errorf("error\n got %q\nwant %q", got, tt.err)
			}
			if lost != 5-int(tt.exported) {
				t.Errorf("told of %d lost spans of 5, exported %d", lost, tt.exported)
			}
			if (err == nil) != (tt.exported == 5) {
				t.Errorf("Shutdown: %v", err)
			}
			if tt.requests != 0 && len(rec.requests) != tt.requests {
				t.Errorf("%d requests, want %d", len(rec.requests), tt.requests)
			}
		})
	}
}

func TestOTLPDeadEndpoint(t *testing.T) {
	checkGoroutines(t)
	server := httptest.NewServer(nil)
	url := server.URL
	server.Close()
	p := newObserved(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url})
	p.Add(shop, netHTTP, testSpans(5)...)
	err := p.Shutdown(within(t, 5*time.Second))
	want := "5 spans were not exported (otlp): cannot send traces to " + url + "/v1/traces: connection refused " +
		"(is a collector listening there? set OTEL_EXPORTER_OTLP_ENDPOINT)"
	if err == nil || err.Error() != want {
		t.Errorf("Shutdown\n got %v\nwant %v", err, want)
	}
	checkStats(t, p, 5, 0)
}

func TestOTLPHangingReceiver(t *testing.T) {
	checkGoroutines(t)
	release := make(chan struct{})
	rec := newReceiver(t, func(_ http.ResponseWriter, r *http.Request, _ int) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	p := newObserved(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT":    rec.URL,
		"OTEL_BSP_MAX_QUEUE_SIZE":        "100",
		"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10",
	})
	begin := time.Now()
	for i := range 1000 {
		p.Add(shop, netHTTP, testSpan(i))
	}
	if d := time.Since(begin); d > time.Second {
		t.Errorf("1000 calls of Add took %v", d)
	}
	if s := p.Stats(); s.Queued > 100+10 || s.Dropped[DroppedQueueFull] < 1000-100-10 {
		t.Errorf("stats before Shutdown: %+v", s)
	}
	err := p.Shutdown(within(t, 100*time.Millisecond))
	if err == nil || !strings.Contains(err.Error(), "spans were not exported (otlp): cannot send traces to "+rec.URL) {
		t.Errorf("Shutdown: %v", err)
	}
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("all took %v", d)
	}
	checkStats(t, p, 1000, 0)
}

func TestOTLPOverTLS(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		checkGoroutines(t)
		rec := &receiver{}
		rec.Server = httptest.NewUnstartedServer(rec.handler(t, nil))
		rec.Config.ErrorLog = log.New(io.Discard, "", 0) // it would report the refused handshake
		rec.StartTLS()
		t.Cleanup(rec.Close)
		env := map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": rec.URL + "/custom"}
		if trusted {
			file := filepath.Join(t.TempDir(), "ca.pem")
			text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rec.Certificate().Raw})
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			env["OTEL_EXPORTER_OTLP_CERTIFICATE"] = file
		} else {
			env["OTEL_EXPORTER_OTLP_CERTIFICATE"] = ""
		}
		p := newObserved(t, env)
		p.Add(shop, netHTTP, testSpan(1))
		err := p.Shutdown(within(t, 5*time.Second))
		if trusted {
			if err != nil || len(rec.requests) != 1 || rec.requests[0].URL.Path != "/custom" {
				t.Errorf("trusted: %v, %d requests", err, len(rec.requests))
			}
			checkStats(t, p, 1, 1)
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "the certificate is not trusted") ||
			!strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_CERTIFICATE") {
			t.Errorf("not trusted: %v", err)
		}
		checkStats(t, p, 1, 0)
	}
}

func TestAddAfterShutdown(t *testing.T) {
	rec := newReceiver(t, nil)
	p := newObserved(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": rec.URL})
	p.Add(shop, netHTTP, testSpan(1))
	if err := p.Shutdown(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	p.Add(shop, netHTTP, testSpans(2)...)
	checkStats(t, p, 3, 1)
}

// TestOTLPSchemeDecidesTLS holds the clients to the specification: the endpoint's scheme goes before INSECURE, and the
// default endpoint is http.
func TestOTLPSchemeDecidesTLS(t *testing.T) {
	rec := newReceiver(t, nil)
	for _, env := range []map[string]string{
		{"OTEL_EXPORTER_OTLP_ENDPOINT": rec.URL, "OTEL_EXPORTER_OTLP_INSECURE": "false"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT": strings.Replace(rec.URL, "http:", "https:", 1), "OTEL_EXPORTER_OTLP_INSECURE": "true"},
	} {
		plain := strings.HasPrefix(env["OTEL_EXPORTER_OTLP_ENDPOINT"], "http:")
		p := newObserved(t, env)
		p.Add(shop, netHTTP, testSpan(1))
		err := p.Shutdown(within(t, 5*time.Second))
		if plain && err != nil || !plain && (err == nil || !strings.Contains(err.Error(), "does not speak TLS")) {
			t.Errorf("%v: %v", env, err)
		}
	}
	p := newObserved(t, map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "a=b"})
	defaultURL := make(chan string, 1)
	p.queues[0].dest.(*otlp).status.Transport.Proxy = func(r *http.Request) (*url.URL, error) {
		defaultURL <- r.URL.String()
		return nil, errors.New("not sent")
	}
	p.Add(shop, netHTTP, testSpan(1))
	if err := p.Shutdown(within(t, 5*time.Second)); err == nil {
		t.Error("sent to the default endpoint")
	}
	if got := <-defaultURL; got != "http://localhost:4318/v1/traces" {
		t.Errorf("default endpoint is %s", got)
	}
}

func TestOTLPOverJSON(t *testing.T) {
	contentType := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !json.Valid(body) {
			t.Errorf("body %q, %v", body, err)
		}
		contentType <- r.Header.Get("Content-Type")
	}))
	defer server.Close()
	p := newObserved(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})
	p.Add(shop, netHTTP, testSpan(1))
	if err := p.Shutdown(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := <-contentType; got != "application/json" {
		t.Errorf("content type %q", got)
	}
	checkStats(t, p, 1, 1)
}

// TestOTLPUnreachable has the failures that no answer comes with.
func TestOTLPUnreachable(t *testing.T) {
	hanging := newReceiver(t, func(_ http.ResponseWriter, r *http.Request, _ int) { <-r.Context().Done() })
	answering := newReceiver(t, nil)
	tests := []struct{ name, endpoint, want string }{
		{"hanging", hanging.URL, "no answer within 300ms (is the receiver overloaded? see OTEL_EXPORTER_OTLP_TIMEOUT and OTEL_BSP_EXPORT_TIMEOUT)"},
		{"no such host", "http://collector.invalid:4318", "no such host collector.invalid (check the host name in OTEL_EXPORTER_OTLP_ENDPOINT)"},
		{"TLS to a plain port", strings.Replace(answering.URL, "http:", "https:", 1), "the receiver does not speak TLS (use an http:// endpoint)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newObserved(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": tt.endpoint, "OTEL_BSP_EXPORT_TIMEOUT": "300"})
			p.Add(shop, netHTTP, testSpans(5)...)
			err := p.Shutdown(within(t, 5*time.Second))
			want := "5 spans were not exported (otlp): cannot send traces to " + tt.endpoint + "/v1/traces: " + tt.want
			if err == nil || err.Error() != want {
				t.Errorf("Shutdown\n got %v\nwant %v", err, want)
			}
			checkStats(t, p, 5, 0)
		})
	}
}
