package testenv

import (
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Mode is how a Sink answers.
type Mode int

// What a Sink can do.
const (
	Accept          Mode = iota // 200, keeps the spans
	Refuse                      // 400: the sender must not try again
	TooManyRequests             // 429 with Retry-After: 1
	Unavailable                 // 503
	WebPage                     // 200, but it is no OTLP receiver
	Hang                        // no answer until the mode changes or the sink is closed
)

// Span is a received span with what stood around it.
type Span struct {
	*trace.Span
	Resource *resource.Resource
	Scope    string // name of the instrumentation scope
}

// Sink receives OTLP over HTTP (protobuf, also gzipped) on a loopback port.
type Sink struct {
	addr   string
	mu     sync.Mutex
	change *sync.Cond // of mode, spans, closed
	mode   Mode
	closed bool
	spans  []Span
	posts  map[Mode]int
	bad    []error
}

// NewSink starts a receiver that lives as long as the test. A request that it cannot read fails the test.
func NewSink(t testing.TB) *Sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Sink{addr: l.Addr().String(), posts: map[Mode]int{}}
	s.change = sync.NewCond(&s.mu)
	server := &http.Server{Handler: http.HandlerFunc(s.receive)}
	go server.Serve(l)
	t.Cleanup(func() {
		s.mu.Lock()
		s.closed = true
		s.change.Broadcast()
		s.mu.Unlock()
		server.Close()
		for _, err := range s.bad {
			t.Errorf("OTLP request: %v", err)
		}
	})
	return s
}

// URL is the value for OTEL_EXPORTER_OTLP_ENDPOINT.
func (s *Sink) URL() string { return "http://" + s.addr }

// SetMode changes how requests from now on are answered; those that hang are answered in the new way.
func (s *Sink) SetMode(m Mode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = m
	s.change.Broadcast()
}

// Posts returns how many requests came in while the sink was in mode m.
func (s *Sink) Posts(m Mode) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.posts[m]
}

// Spans returns what was accepted so far.
func (s *Sink) Spans() []Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Span(nil), s.spans...)
}

// Len returns how many spans were accepted so far.
func (s *Sink) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.spans)
}

// Wait returns the spans as soon as there are n. After timeout (see Patient) it fails the test, and returns what there is.
func (s *Sink) Wait(t testing.TB, n int, timeout time.Duration) []Span {
	t.Helper()
	if !Within(timeout, func() bool { return s.Len() >= n }) {
		t.Errorf("got %d spans within %v, want %d", s.Len(), Patient(timeout), n)
	}
	return s.Spans()
}

func (s *Sink) receive(w http.ResponseWriter, r *http.Request) {
	req, err := readExport(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.bad = append(s.bad, err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.posts[s.mode]++
	for s.mode == Hang && !s.closed {
		s.change.Wait()
	}
	switch s.mode {
	case Accept:
		s.keep(req)
		answer, _ := proto.Marshal(&collectortrace.ExportTraceServiceResponse{})
		w.Header().Set("Content-Type", "application/x-protobuf")
		w.Write(answer)
	case Refuse:
		http.Error(w, "refused by the test", http.StatusBadRequest)
	case TooManyRequests:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "slow down", http.StatusTooManyRequests)
	case WebPage:
		fmt.Fprint(w, "<html>welcome</html>")
	case Unavailable:
		http.Error(w, "not now", http.StatusServiceUnavailable)
	}
}

func readExport(r *http.Request) (*collectortrace.ExportTraceServiceRequest, error) {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" {
		return nil, fmt.Errorf("got %s %s, want POST /v1/traces", r.Method, r.URL.Path)
	}
	if ct := r.Header.Get("Content-Type"); ct != "application/x-protobuf" {
		return nil, fmt.Errorf("got content type %q", ct)
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, err
		}
		body = z
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	req := new(collectortrace.ExportTraceServiceRequest)
	return req, proto.Unmarshal(data, req)
}

func (s *Sink) keep(req *collectortrace.ExportTraceServiceRequest) {
	for _, rs := range req.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, span := range ss.Spans {
				s.spans = append(s.spans, Span{Span: span, Resource: rs.Resource, Scope: ss.Scope.GetName()})
			}
		}
	}
	s.change.Broadcast()
}
