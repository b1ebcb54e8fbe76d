package testenv

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
)

func str(k, v string) *common.KeyValue {
	return &common.KeyValue{Key: k, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: v}}}
}

func num(k string, v int64) *common.KeyValue {
	return &common.KeyValue{Key: k, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: v}}}
}

func TestCanonicalText(t *testing.T) {
	spans := []Span{
		{Span: &trace.Span{Name: "second", TraceId: []byte{1}, SpanId: []byte{3}, ParentSpanId: []byte{2}, StartTimeUnixNano: 20, Flags: 0x101}},
		{Span: &trace.Span{
			Name: "GET /x", Kind: trace.Span_SPAN_KIND_SERVER, TraceId: []byte{1}, SpanId: []byte{2}, ParentSpanId: []byte{0xaa}, TraceState: "a=1",
			StartTimeUnixNano: 10,
			Attributes:        []*common.KeyValue{str("url.path", "/x"), num("network.peer.port", 4711), num("client.port", 4711), num("server.port", 80)},
			Status:            &trace.Status{Code: trace.Status_STATUS_CODE_ERROR, Message: "why"},
			Events:            []*trace.Span_Event{{Name: "exception", Attributes: []*common.KeyValue{str("exception.type", "string")}}},
		}},
	}
	got := (&Canonical{Known: map[string]string{"aa": "REMOTE"}, ServerPort: "80"}).Text(spans)
	want := `GET /x [SERVER] T1 S1 parent=REMOTE flags=0x0 state="a=1"
  status ERROR "why"
  client.port = PORT
  network.peer.port = PORT
  server.port = SERVER
  url.path = "/x"
  event exception
    exception.type = "string"
second [UNSPECIFIED] T1 S2 parent=S1 flags=0x101
  status UNSET
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCheckTimes(t *testing.T) {
	from := time.Unix(1000, 0)
	w := Window{From: from, To: from.Add(time.Second)}
	at := func(start, end time.Duration) Span {
		return Span{Span: &trace.Span{StartTimeUnixNano: uint64(from.Add(start).UnixNano()), EndTimeUnixNano: uint64(from.Add(end).UnixNano())}}
	}
	for _, c := range []struct {
		start, end time.Duration
		good       bool
	}{
		{time.Millisecond, 2 * time.Millisecond, true},
		{2 * time.Millisecond, time.Millisecond, false},
		{-time.Second, 0, false},
		{0, 2 * time.Second, false},
	} {
		if err := w.CheckTimes(at(c.start, c.end)); (err == nil) != c.good {
			t.Errorf("%v–%v: %v", c.start, c.end, err)
		}
	}
}

func TestSections(t *testing.T) {
	base := parseSections("=== a\none\n=== b\ntwo\nlines\n")
	want := []Section{{"a", "one\n"}, {"b", "two\nlines\n"}}
	if diff := cmp.Diff(want, base); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	over := []Section{{"b", "other\n"}, {"c", "new\n"}}
	if diff := cmp.Diff([]Section{{"a", "one\n"}, {"b", "other\n"}, {"c", "new\n"}}, merge(base, over)); diff != "" {
		t.Errorf("merge (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(over, differing(base, append(over, base[0]))); diff != "" {
		t.Errorf("differing (-want +got):\n%s", diff)
	}
}
