package testenv

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"testing"
	"time"

	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

func oneSpan(name string) *collectortrace.ExportTraceServiceRequest {
	span := &trace.Span{Name: name, Kind: trace.Span_SPAN_KIND_SERVER, TraceId: []byte{1}, SpanId: []byte{2}}
	return &collectortrace.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{
		ScopeSpans: []*trace.ScopeSpans{{Scope: &common.InstrumentationScope{Name: "scope"}, Spans: []*trace.Span{span}}},
	}}}
}

func post(t *testing.T, s *Sink, name string, zip bool) *http.Response {
	t.Helper()
	data, err := proto.Marshal(oneSpan(name))
	if err != nil {
		t.Fatal(err)
	}
	var body bytes.Buffer
	if zip {
		z := gzip.NewWriter(&body)
		z.Write(data)
		z.Close()
	} else {
		body.Write(data)
	}
	req, _ := http.NewRequest(http.MethodPost, s.URL()+"/v1/traces", &body)
	req.Header.Set("Content-Type", "application/x-protobuf")
	if zip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

func TestSinkModes(t *testing.T) {
	s := NewSink(t)
	for mode, want := range map[Mode]int{Refuse: 400, TooManyRequests: 429, Unavailable: 503} {
		s.SetMode(mode)
		if resp := post(t, s, "no", false); resp.StatusCode != want {
			t.Errorf("mode %d answers %d, want %d", mode, resp.StatusCode, want)
		}
	}
	if s.Len() != 0 {
		t.Errorf("kept %d spans that it refused", s.Len())
	}
	s.SetMode(Hang)
	done := make(chan bool)
	go func() { post(t, s, "late", true); close(done) }()
	Eventually(t, time.Second, "a post that hangs", func() bool { return s.Posts(Hang) == 1 })
	s.SetMode(Accept)
	<-done
	post(t, s, "zipped", true)
	spans := s.Wait(t, 2, time.Second)
	if len(spans) != 2 || spans[0].Name != "late" || spans[1].Name != "zipped" || spans[1].Scope != "scope" {
		t.Errorf("got %v", spans)
	}
}
