package export

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file in testdata, or rewrites the file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; if the change is meant: go test -update):\n%s", file, diff)
	}
}

// span returns a span of one trace that starts and ends at the given microseconds.
func span(id, parent, name string, kind tracepb.Span_SpanKind, start, end uint64, attributes ...*commonpb.KeyValue) *tracepb.Span {
	const origin = 1_700_000_000_000_000_000
	return &tracepb.Span{
		TraceId: []byte("0123456789abcdef"), SpanId: []byte(id), ParentSpanId: []byte(parent), Name: name, Kind: kind,
		StartTimeUnixNano: origin + start*1000, EndTimeUnixNano: origin + end*1000, Attributes: attributes,
	}
}

func failed(s *tracepb.Span, events ...*tracepb.Span_Event) *tracepb.Span {
	s.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
	s.Events = events
	return s
}

func exception(kind, message string) *tracepb.Span_Event {
	return &tracepb.Span_Event{Name: "exception", Attributes: []*commonpb.KeyValue{
		stringAttribute("exception.type", kind), stringAttribute("exception.message", message),
	}}
}

const (
	server = tracepb.Span_SPAN_KIND_SERVER
	client = tracepb.Span_SPAN_KIND_CLIENT
)

// traces of the golden files, by name.
func goldenTraces() map[string][]item {
	at := func(res *resourcepb.Resource, s *tracepb.Span) item {
		return item{resource: res, scope: netHTTP, span: s}
	}
	get := func(path string, status int64) []*commonpb.KeyValue {
		return []*commonpb.KeyValue{
			stringAttribute("http.request.method", "GET"), stringAttribute("http.route", "/items/{id}"),
			stringAttribute("url.path", path), stringAttribute("client.address", "10.0.0.7"),
			intAttribute("http.response.status_code", status),
		}
	}
	return map[string][]item{
		"single": {at(shop, span("aaaaaaaa", "", "GET /items/{id}", server, 0, 812, get("/items/42", 200)...))},
		"nested": {
			// Out of order, as spans end: children first.
			at(stock, span("dddddddd", "cccccccc", "SELECT", client, 5200, 7100, stringAttribute("db.system.name", "postgresql"))),
			at(stock, span("cccccccc", "bbbbbbbb", "GET /stock", server, 4100, 8000, get("/stock", 200)...)),
			at(shop, span("bbbbbbbb", "aaaaaaaa", "GET", client, 3000, 9000, intAttribute("http.response.status_code", 200))),
			at(shop, failed(span("eeeeeeee", "aaaaaaaa", "publish an order to everyone who might care about it", tracepb.Span_SPAN_KIND_PRODUCER, 9500, 11000),
				exception("*errors.errorString", "queue is full"))),
			at(shop, failed(span("aaaaaaaa", "", "GET /items/{id}", server, 0, 12345, get("/items/42", 500)...),
				exception("runtime.Error", "index out of range"))),
		},
		"orphans": {
			at(shop, span("aaaaaaaa", "missing1", "one", server, 0, 2_000_000)),
			at(nil, span("bbbbbbbb", "missing2", "two", tracepb.Span_SPAN_KIND_INTERNAL, 1_000_000, 61_000_000)),
			at(shop, span("cccccccc", "cccccccc", "its own parent", client, 500_000, 400_000)),
		},
		"hostile": {at(shop, failed(span("aaaaaaaa", "", "GET /\x1b[2J\r\n\x07\u202e\u009b31m", server, 0, 10,
			stringAttribute("url.path", "/a b\"=\x1b]0;title\x07"), stringAttribute("client.address", "x\nspan=forged")),
			exception("t\x1b[0m", "two\nlines")))},
	}
}

func TestConsoleGolden(t *testing.T) {
	width := func(n int) func() int { return func() int { return n } }
	for name, spans := range goldenTraces() {
		t.Run(name, func(t *testing.T) {
			tree := string(treeStyle{width: width(100)}.append(nil, spans))
			for line := range strings.Lines(tree) {
				if n := utf8.RuneCountInString(line) - 1; n > 100 {
					t.Errorf("%d columns: %s", n, line)
				}
			}
			golden(t, name+".tree", tree)
			golden(t, name+".narrow", string(treeStyle{width: width(40)}.append(nil, spans)))
			golden(t, name+".colour", string(treeStyle{color: true, width: width(120)}.append(nil, spans)))
			golden(t, name+".lines", string(appendLines(nil, spans)))
		})
	}
}

func TestConsoleShowsNoControlCharacters(t *testing.T) {
	spans := goldenTraces()["hostile"]
	for _, text := range []string{
		string(treeStyle{width: func() int { return 100 }}.append(nil, spans)),
		string(appendLines(nil, spans)),
	} {
		for _, r := range text {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("%q has %U", text, r)
			}
		}
	}
	if text := string(appendLines(nil, spans)); strings.Count(text, "\n") != 1 || strings.Contains(text, "\nspan=") {
		t.Errorf("one span gave more than one line:\n%s", text)
	}
}

// newTestConsole returns a console whose clock the test moves.
func newTestConsole(w *bytes.Buffer) (c *console, clock *time.Time) {
	clock = new(time.Time)
	*clock = time.Unix(1_700_000_000, 0)
	c, _ = newConsole(consoleOptions{w: w, idle: 300 * time.Millisecond})
	c.now = func() time.Time { return *clock }
	return c, clock
}

func TestConsoleWaitsForQuietTraces(t *testing.T) {
	var out bytes.Buffer
	c, clock := newTestConsole(&out)
	ctx := context.Background()
	step := func(batch []item) outcome {
		*clock = clock.Add(200 * time.Millisecond)
		return c.send(ctx, batch)
	}
	one, two := item{shop, netHTTP, testSpan(1)}, item{shop, netHTTP, testSpan(2)}
	got := []outcome{
		step([]item{one, two}),
		step([]item{one}), // trace 1 lives on
		step(nil),         // trace 2 has been quiet for 400 ms
		step(nil),         // and now trace 1
		step([]item{two}),
		c.finish(ctx),
	}
	want := []outcome{{}, {}, {exported: 1}, {exported: 2}, {}, {exported: 1}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(outcome{})); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if lines := strings.Count(out.String(), "\n"); lines != 4 {
		t.Errorf("%d lines, want 4:\n%s", lines, out.String())
	}
}

func TestConsoleIsBounded(t *testing.T) {
	var out bytes.Buffer
	c, _ := newTestConsole(&out)
	exported := 0
	for i := range 3 * consoleMaxTraces {
		exported += c.send(context.Background(), []item{{shop, netHTTP, testSpan(i)}}).exported
	}
	if len(c.open) != consoleMaxTraces || len(c.byID) != consoleMaxTraces || exported != 2*consoleMaxTraces {
		t.Errorf("%d traces open, %d by ID, %d spans printed", len(c.open), len(c.byID), exported)
	}
	if first := string(c.open[0].id); first != string(testSpan(2*consoleMaxTraces).TraceId) {
		t.Errorf("oldest open trace is %s", first)
	}
	// One endless trace must not grow without bound either.
	chain := make([]item, consoleMaxSpans+1)
	for i := range chain {
		s := testSpan(i + 1)
		s.TraceId, s.ParentSpanId = []byte("endless"), testSpan(i).SpanId
		chain[i] = item{shop, netHTTP, s}
	}
	if c.send(context.Background(), chain); c.spans > consoleMaxSpans {
		t.Errorf("%d spans buffered", c.spans)
	}
	if got := c.finish(context.Background()); got.err != nil || c.spans != 0 || len(c.open) != 0 {
		t.Errorf("after finish: %+v, %d spans, %d traces", got, c.spans, len(c.open))
	}
}

func TestTreeOfDeepChainStaysNarrow(t *testing.T) {
	chain := make([]item, 2000)
	for i := range chain {
		s := testSpan(i + 1)
		s.ParentSpanId = testSpan(i).SpanId
		chain[i] = item{shop, netHTTP, s}
	}
	nodes := arrange(chain)
	if len(nodes) != len(chain) {
		t.Fatalf("%d nodes, want %d", len(nodes), len(chain))
	}
	for _, n := range nodes {
		if len([]rune(n.branch)) > maxIndent+3 {
			t.Fatalf("branch %q", n.branch)
		}
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk is full") }

func TestConsoleWriteFailureIsCounted(t *testing.T) {
	checkGoroutines(t)
	p := newObserved(t, map[string]string{"OTEL_TRACES_EXPORTER": "console"}, ConsoleTo(failingWriter{}))
	p.Add(shop, netHTTP, testSpans(3)...)
	err := p.Shutdown(within(t, 5*time.Second))
	const want = "3 spans were not exported (console): cannot send traces to the console: disk is full"
	if err == nil || err.Error() != want {
		t.Errorf("Shutdown: %v", err)
	}
	checkStats(t, p, 3, 0)
	// One call: while the spans were only buffered, nothing had gone well.
	told := []exportCall{{Exporter: "console", Lost: 3, Err: "cannot send traces to the console: disk is full"}}
	if diff := cmp.Diff(told, p.seen()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// stuckWriter is a terminal that nobody reads.
type stuckWriter struct{ release chan struct{} }

func (w stuckWriter) Write(p []byte) (int, error) { <-w.release; return len(p), nil }

func TestStuckConsoleHoldsUpNothing(t *testing.T) {
	checkGoroutines(t)
	rec := newReceiver(t, nil)
	w := stuckWriter{make(chan struct{})}
	p := newObserved(t, map[string]string{"OTEL_TRACES_EXPORTER": "console,otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": rec.URL},
		ConsoleTo(w))
	p.Add(shop, netHTTP, testSpans(3)...)
	err := p.Shutdown(within(t, 300*time.Millisecond))
	if err == nil || err.Error() != "3 spans were not exported (console): context deadline exceeded" {
		t.Errorf("Shutdown: %v", err)
	}
	close(w.release)
	want := Stats{
		Exported:      map[string]uint64{"console": 0, "otlp": 3},
		Dropped:       map[string]uint64{DroppedQueueFull: 0, DroppedExportFailed: 3, DroppedShutdown: 0},
		QueueCapacity: defaultMaxQueueSize,
	}
	if diff := cmp.Diff(want, p.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

// TestBrokenStdout runs itself with a standard output that nobody reads any more.
func TestBrokenStdout(t *testing.T) {
	const marker = "REMORA_TEST_BROKEN_STDOUT"
	if os.Getenv(marker) != "" {
		cfg, err := ConfigFromEnv(os.Getenv, "console")
		if err != nil {
			os.Exit(2)
		}
		p, err := New(cfg)
		if err != nil {
			os.Exit(3)
		}
		p.Add(shop, netHTTP, testSpan(1))
		if err := p.Shutdown(within(t, 5*time.Second)); err == nil || !strings.Contains(err.Error(), "broken pipe") {
			os.Exit(4)
		}
		os.Exit(0)
	}
	cleanEnv(t, map[string]string{marker: "1"})
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	defer write.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestBrokenStdout$")
	cmd.Stdout = write
	if err := cmd.Run(); err != nil {
		t.Errorf("a broken standard output ended the program: %v", err)
	}
}
