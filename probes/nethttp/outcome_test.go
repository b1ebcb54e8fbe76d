package nethttp

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/remora-agent/remora/bpf"
)

// end is how a handler ended.
type end uint32

const (
	returned = end(bpf.PanicNone)
	panicked = end(bpf.PanicValue)
	exited   = end(bpf.PanicGoexit)
)

// ended writes into an event how the handler ended, with a value of this type if it panicked.
func (s *sent) ended(e end, typ uint64) {
	if e != returned {
		s.fixed.Unwound = 1
	}
	s.fixed.Panic.Kind = uint32(e)
	s.fixed.Panic.Type = typ
}

// TestOutcome is the table of how a request can end: status code, body size and error of each case.
func TestOutcome(t *testing.T) {
	const none = -1
	tests := []struct {
		name     string
		method   string
		ended    end
		written  uint8
		hijacked uint8
		status   int32 // what the response holds
		code     int   // what the span says
		size     int
		err      string
	}{
		{"returned", "GET", returned, 1, 0, 201, 201, 7, ""},
		{"returned without a word", "GET", returned, 0, 0, 0, 200, 7, ""},
		{"not found", "GET", returned, 1, 0, 404, 404, 7, ""},
		{"499", "GET", returned, 1, 0, 499, 499, 7, ""},
		{"500", "GET", returned, 1, 0, 500, 500, 7, "500"},
		{"599", "GET", returned, 1, 0, 599, 599, 7, "599"},
		{"HEAD", "HEAD", returned, 1, 0, 200, 200, none, ""},
		{"HEAD without a word", "HEAD", returned, 0, 0, 0, 200, none, ""},
		{"HEAD 500", "HEAD", returned, 1, 0, 500, 500, none, "500"},
		{"hijacked", "GET", returned, 0, 1, 0, none, none, ""},
		{"hijacked after the header", "GET", returned, 1, 1, 101, 101, none, ""},
		{"panicked", "GET", panicked, 0, 0, 0, none, none, "panic"},
		{"panicked after the header", "GET", panicked, 1, 0, 200, 200, none, "panic"},
		{"panicked after a 500", "GET", panicked, 1, 0, 500, 500, none, "panic"},
		{"panicked and hijacked", "GET", panicked, 0, 1, 0, none, none, "panic"},
		{"panicked, HEAD", "HEAD", panicked, 0, 0, 0, none, none, "panic"},
		{"exited", "GET", exited, 0, 0, 0, none, none, "runtime.Goexit"},
		{"exited after the header", "GET", exited, 1, 0, 200, 200, none, "runtime.Goexit"},
		{"exited after a 500", "GET", exited, 1, 0, 500, 500, none, "runtime.Goexit"},
		{"exited and hijacked", "GET", exited, 0, 1, 0, none, none, "runtime.Goexit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := get()
			s.method = tt.method
			s.ended(tt.ended, 7)
			s.fixed.HeaderWritten, s.fixed.Hijacked = tt.written, tt.hijacked
			s.fixed.Status, s.fixed.BodySize = tt.status, 7
			span := decode(t, s)
			var want []any
			if tt.code != none {
				want = append(want, "http.response.status_code", tt.code)
			}
			if tt.size != none {
				want = append(want, "http.response.body.size", tt.size)
			}
			var status *tracepb.Status
			if tt.err != "" {
				want = append(want, "error.type", tt.err)
				status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
			}
			got := only(span.Attributes, "http.response.status_code", "http.response.body.size", "error.type")
			if diff := cmp.Diff(list(want...), got, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(status, span.Status, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
			if events := len(span.Events); events > 0 != (tt.ended == panicked) {
				t.Errorf("%d events", events)
			}
		})
	}
}

func TestPanic(t *testing.T) {
	exception := func(pairs ...any) []*tracepb.Span_Event {
		return []*tracepb.Span_Event{{Name: "exception", TimeUnixNano: 1009, Attributes: list(pairs...)}}
	}
	tests := []struct {
		name   string
		typ    uint64
		text   string
		header uint8
		errTyp string
		want   []*tracepb.Span_Event
	}{
		{"string", 2, "boom", 0, "panic", exception("exception.type", "string", "exception.message", "boom")},
		{"error", 1, "boom", 0, "panic", exception("exception.type", "*errors.errorString", "exception.message", "boom")},
		{"runtime error", 4, "index out of range", 0, "panic",
			exception("exception.type", "runtime.errorString", "exception.message", "runtime error: index out of range")},
		{"bad address", 6, "invalid memory address", 0, "panic",
			exception("exception.type", "runtime.errorAddressString", "exception.message", "runtime error: invalid memory address")},
		{"plain error", 5, "close of nil channel", 0, "panic",
			exception("exception.type", "runtime.plainError", "exception.message", "close of nil channel")},
		{"no text", 3, "", 0, "panic", exception("exception.type", "runtime.boundsError")},
		{"unknown type", 99, "", 0, "panic", exception("exception.type", "unknown")},
		{"nil", 0, "", 0, "panic", exception("exception.type", "nil")},
		{"http.ErrAbortHandler", 1, "net/http: abort Handler", 0, "", nil},
		{"http.ErrAbortHandler after the header", 1, "net/http: abort Handler", 1, "500", nil},
		{"a string like http.ErrAbortHandler", 2, "net/http: abort Handler", 0, "panic",
			exception("exception.type", "string", "exception.message", "net/http: abort Handler")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := get()
			s.ended(panicked, tt.typ)
			s.fixed.Head.End, s.panicText = 9, tt.text
			s.fixed.HeaderWritten, s.fixed.Status = tt.header, 500
			span := decode(t, s)
			if diff := cmp.Diff(tt.want, span.Events, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
			var errTyp []*commonpb.KeyValue
			if tt.errTyp != "" {
				errTyp = list("error.type", tt.errTyp)
			}
			if diff := cmp.Diff(errTyp, only(span.Attributes, "error.type"), protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
