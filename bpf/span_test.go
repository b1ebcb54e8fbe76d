package bpf_test

import (
	"strings"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/testenv"
	"github.com/remora-agent/remora/probes"
	"github.com/remora-agent/remora/probes/nethttp"
	"github.com/remora-agent/remora/process"
)

// spans sends a request with these header lines and returns the spans of it.
func (a *attached) spans(t *testing.T, path, header string) (spans []*tracepb.Span) {
	t.Helper()
	decode, err := nethttp.Server().NewDecoder(func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	b, err := process.Open(a.path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	target := probes.Target{
		Constant: func(addr uint64, n int) []byte {
			text, _ := b.Constant(addr, n)
			return text
		},
		Interval: func(start, end uint64) (uint64, uint64) { return start, end },
		TypeName: func(uint64) (string, bool) { return "", false },
	}
	a.exchange(t, a.dial(t), path, header)
	for _, event := range a.drain(t) {
		head, ok := bpf.Head(event)
		if !ok {
			t.Fatalf("an event of %d bytes", len(event))
		}
		span, err := decode(head, event, target)
		if err != nil {
			t.Fatal(err)
		}
		spans = append(spans, span)
	}
	return spans
}

const traceparent = "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"

// TestTraceState: several lines are one list, empty ones are none of it, and a list too long is left out, not cut: what is cut
// in its middle says something else.
func TestTraceState(t *testing.T) {
	testenv.RequireRoot(t)
	v := variants[0]
	v.available(t, bpf.Probe())
	a := attach(t, v, "")
	defer a.close(t)
	value := strings.Repeat("v", 200)
	two := "a=" + value + ",b=" + value
	tests := []struct {
		lines []string
		want  string
	}{
		{[]string{"a=1,b=2"}, "a=1,b=2"},
		{[]string{"a=1,b=2", "c=3"}, "a=1,b=2,c=3"},
		{[]string{"", "c=3"}, "c=3"},
		{[]string{"a=1", "", "c=3"}, "a=1,c=3"},
		{[]string{""}, ""},
		{[]string{"a=1", "b=2", "c=3", "d=4"}, "a=1,b=2,c=3,d=4"},
		{[]string{two + ",c=" + value}, ""},
		{[]string{two, "c=" + value}, two},
	}
	for _, tt := range tests {
		header := traceparent
		for _, line := range tt.lines {
			header += "Tracestate: " + line + "\r\n"
		}
		spans := a.spans(t, "/hello", header)
		if len(spans) != 1 || spans[0].TraceState != tt.want {
			t.Errorf("%q: got %v, want %q", tt.lines, spans, tt.want)
		}
	}
}

// TestTextHasRoom: however long the headers are, the path and the route are there.
func TestTextHasRoom(t *testing.T) {
	testenv.RequireRoot(t)
	v := variants[0]
	v.available(t, bpf.Probe())
	a := attach(t, v, "")
	defer a.close(t)
	long := strings.Repeat("x", 600)
	header := traceparent + "Tracestate: a=" + long[:250] + ",b=" + long[:250] + "\r\n"
	for _, name := range []string{"User-Agent", "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"} {
		header += name + ": " + long + "\r\n"
	}
	for _, path := range []string{"/hello", "/hello?" + long + long} {
		spans := a.spans(t, path, header)
		if len(spans) != 1 {
			t.Fatalf("%d spans", len(spans))
		}
		got := map[string]string{}
		for _, kv := range spans[0].Attributes {
			got[kv.Key] = kv.Value.GetStringValue()
		}
		if got["url.path"] != "/hello" || got["http.route"] != "/hello" || got["user_agent.original"] != long[:256] {
			t.Errorf("%.20s: %v", path, got)
		}
	}
}
