package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// Reasons for which a span is dropped, the keys of Stats.Dropped.
const (
	DroppedQueueFull    = "queue_full"    // the receiver is slower than the traced programs
	DroppedExportFailed = "export_failed" // the receiver could not be reached or refused it
	DroppedShutdown     = "shutdown"      // added after Shutdown
)

// Stats are counters since New. For each exporter, the spans added are those it exported, those dropped on its way, and
// those that still wait.
type Stats struct {
	Exported map[string]uint64 // spans, by exporter: "otlp", "console"
	Dropped  map[string]uint64 // spans, by reason; with two exporters a span that neither got counts twice
	// Queued is how many spans wait, or are under way, in the fullest queue, and QueueCapacity how many may wait in each.
	Queued        int
	QueueCapacity int
}

// Option is an option of [New].
type Option func(*options)

type options struct {
	onExport func(exporter string, lost int, d time.Duration, err error)
	console  consoleOptions
}

// OnExport has f called after each batch, with the exporter's name, the spans of it that were lost, how long it took, and what
// went wrong. The error is nil or a *[Failure]; a batch that the receiver took in part has one too. f is called by one
// goroutine per exporter and delays that exporter only.
func OnExport(f func(exporter string, lost int, d time.Duration, err error)) Option {
	return func(o *options) { o.onExport = f }
}

// ConsoleTo has the console exporter write to w, as to a file: plain lines. Without it the console exporter writes to the
// standard output.
func ConsoleTo(w io.Writer) Option {
	return func(o *options) { o.console.w = w }
}

// ConsoleIdle sets how long a trace must get no span before the console exporter takes it for finished; the default is
// 300 ms.
func ConsoleIdle(d time.Duration) Option {
	return func(o *options) { o.console.idle = d }
}

// Pipeline takes finished spans to the configured exporters. Each exporter has a queue and a goroutine of its own, so that
// one that hangs does not hold up another.
type Pipeline struct {
	queues []*queue
	stop   context.CancelFunc // abandons uploads under way
}

// New starts the exporters of cfg. The caller must call Shutdown.
func New(cfg Config, opts ...Option) (*Pipeline, error) {
	o := options{
		onExport: func(string, int, time.Duration, error) {},
		console:  consoleOptions{idle: consoleIdle},
	}
	for _, opt := range opts {
		opt(&o)
	}
	destinations := make(map[string]destination)
	for _, name := range cfg.Exporters {
		d, err := newDestination(name, cfg, o)
		if err != nil {
			for _, started := range destinations {
				started.finish(context.Background())
			}
			return nil, err
		}
		destinations[name] = d
	}
	return start(cfg, o, destinations), nil
}

func newDestination(name string, cfg Config, o options) (destination, error) {
	switch name {
	case exporterOTLP:
		return newOTLP(cfg)
	case exporterConsole:
		return newConsole(o.console)
	default:
		return nil, fmt.Errorf("cannot export traces: no exporter %q", name)
	}
}

// start runs a queue for each destination.
func start(cfg Config, o options, destinations map[string]destination) *Pipeline {
	ctx, stop := context.WithCancel(context.Background())
	p := &Pipeline{stop: stop}
	for _, name := range cfg.Exporters {
		q := newQueue(name, destinations[name], cfg, o.onExport)
		p.queues = append(p.queues, q)
		go q.run(ctx)
	}
	return p
}

// Add hands over finished spans of one resource and scope. It never blocks: what does not fit a queue is dropped and
// counted. The messages must not be changed from then on, and their strings must be valid UTF-8: protobuf refuses a whole
// batch for one bad byte in it. Resources and scopes are grouped by pointer, so hand over the same ones each time.
func (p *Pipeline) Add(res *resourcepb.Resource, scope *commonpb.InstrumentationScope, spans ...*tracepb.Span) {
	for _, q := range p.queues {
		q.add(res, scope, spans)
	}
}

// Shutdown sends what is queued and ends the exporters. When ctx is done first, what is left is counted as dropped. The
// error tells how many spans were lost during Shutdown, and why. Shutdown is to be called once.
func (p *Pipeline) Shutdown(ctx context.Context) error {
	for _, q := range p.queues {
		q.close(ctx)
	}
	unwatch := context.AfterFunc(ctx, p.stop)
	defer unwatch()
	var errs []error
	for _, q := range p.queues {
		errs = append(errs, q.wait(ctx))
	}
	p.stop()
	return errors.Join(errs...)
}

// Stats returns the counters as they stand.
func (p *Pipeline) Stats() Stats {
	s := Stats{
		Exported: make(map[string]uint64),
		Dropped:  map[string]uint64{DroppedQueueFull: 0, DroppedExportFailed: 0, DroppedShutdown: 0},
	}
	for _, q := range p.queues {
		q.addTo(&s)
	}
	return s
}
