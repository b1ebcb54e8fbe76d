package export

import (
	"context"
	"fmt"
	"sync"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// destination is where a queue's spans go. Its methods are called by one goroutine.
type destination interface {
	// send takes a batch, which it must not keep, and returns when it is out, buffered or lost. An empty batch only tells
	// that time has passed. When ctx is done, send returns soon.
	send(ctx context.Context, batch []item) outcome
	// finish sends what is buffered and frees everything.
	finish(ctx context.Context) outcome
}

// outcome is what became of spans: of those in the batch, or of some buffered before.
type outcome struct {
	exported, failed int
	err              error // why spans failed, or a warning; nil otherwise
}

// queue holds the spans that wait for one destination, and its goroutine sends them.
type queue struct {
	name      string
	dest      destination
	capacity  int // spans in waiting
	batchSize int
	delay     time.Duration // between two looks at the queue
	onExport  func(exporter string, lost int, d time.Duration, err error)

	full    chan struct{} // a batch is full; holds one
	closing chan struct{} // Shutdown was called
	done    chan struct{} // run has returned
	// deadline is Shutdown's context, set before closing is closed.
	deadline context.Context

	mu        sync.Mutex
	waiting   ring
	closed    bool // Shutdown was called: nothing more is added
	abandoned bool // Shutdown has given up on run: its counting is over
	counts    counts
}

// counts are in spans.
type counts struct {
	added, exported, full, failed, late uint64
	failedClosing                       uint64 // of failed, since Shutdown
	lastErr                             error  // why the last of those failed
}

// pending is how many spans are neither exported nor dropped.
func (c *counts) pending() uint64 { return c.added - c.exported - c.full - c.failed - c.late }

func newQueue(name string, dest destination, cfg Config, onExport func(string, int, time.Duration, error)) *queue {
	delay := cfg.ScheduleDelay
	if name == exporterConsole {
		delay = min(delay, consoleDelay)
	}
	return &queue{
		name: name, dest: dest, delay: delay, onExport: onExport,
		capacity: cfg.MaxQueueSize, batchSize: cfg.MaxBatchSize,
		full: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}),
	}
}

func (q *queue) add(res *resourcepb.Resource, scope *commonpb.InstrumentationScope, spans []*tracepb.Span) {
	q.mu.Lock()
	q.counts.added += uint64(len(spans))
	if q.closed {
		q.counts.late += uint64(len(spans))
		q.mu.Unlock()
		return
	}
	room := min(q.capacity-q.waiting.count, len(spans))
	q.counts.full += uint64(len(spans) - room)
	for _, span := range spans[:room] {
		q.waiting.push(item{resource: res, scope: scope, span: span})
	}
	wake := q.waiting.count >= q.batchSize
	q.mu.Unlock()
	if wake {
		select {
		case q.full <- struct{}{}:
		default: // it is awake already
		}
	}
}

// run sends batches until Shutdown, and then the rest.
func (q *queue) run(ctx context.Context) {
	defer close(q.done)
	ticker := time.NewTicker(q.delay)
	defer ticker.Stop()
	var batch []item
	for {
		select {
		case <-ticker.C:
			batch = q.drain(ctx, batch)
		case <-q.full:
			for q.length() >= q.batchSize {
				batch = q.sendBatch(ctx, batch)
			}
		case <-q.closing:
			q.drain(ctx, batch)
			q.observe(func() outcome { return q.dest.finish(q.deadline) })
			return
		}
	}
}

// drain sends the spans that wait now; those that come meanwhile wait for the next time, else a steady flow would go out in
// batches of a few. It sends at least one batch, if only to let the destination see that time has passed.
func (q *queue) drain(ctx context.Context, batch []item) []item {
	for left := q.length(); ; left -= len(batch) {
		batch = q.sendBatch(ctx, batch)
		if left <= len(batch) {
			return batch
		}
	}
}

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting.count
}

// sendBatch sends up to a batch of waiting spans. It returns the batch, emptied of them, for its memory and length.
func (q *queue) sendBatch(ctx context.Context, batch []item) []item {
	q.mu.Lock()
	batch = q.waiting.pop(batch[:0], q.batchSize)
	q.mu.Unlock()
	q.observe(func() outcome { return q.dest.send(ctx, batch) })
	clear(batch)
	return batch
}

// observe counts what became of spans and tells the agent; nothing has become yet of those that the destination only buffers.
func (q *queue) observe(send func() outcome) {
	begin := time.Now()
	out := send()
	q.count(out)
	if out.exported > 0 || out.err != nil {
		q.onExport(q.name, out.failed, time.Since(begin), out.err)
	}
}

func (q *queue) count(out outcome) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.abandoned {
		return
	}
	q.counts.exported += uint64(out.exported)
	q.counts.failed += uint64(out.failed)
	if q.closed && out.failed > 0 {
		q.counts.failedClosing += uint64(out.failed)
		q.counts.lastErr = out.err
	}
}

// close lets no more spans in and has run finish. ctx bounds what run does from then on.
func (q *queue) close(ctx context.Context) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.closed = true
	q.deadline = ctx
	close(q.closing)
}

// graceAfterDeadline is how long run may take to notice that its time is up.
const graceAfterDeadline = 200 * time.Millisecond

// wait returns when run is done, or soon after ctx is; a write to a terminal that nobody reads cannot be interrupted. The
// error tells how many spans were lost since close.
func (q *queue) wait(ctx context.Context) error {
	select {
	case <-q.done:
	case <-ctx.Done():
		select {
		case <-q.done:
		case <-time.After(graceAfterDeadline):
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.abandoned = true
	if left := q.counts.pending(); left > 0 {
		q.counts.failed += left
		q.counts.failedClosing += left
		q.counts.lastErr = context.Cause(ctx)
		q.waiting = ring{}
	}
	if q.counts.failedClosing == 0 {
		return nil
	}
	return fmt.Errorf("%d spans were not exported (%s): %w", q.counts.failedClosing, q.name, q.counts.lastErr)
}

func (q *queue) addTo(s *Stats) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.Exported[q.name] += q.counts.exported
	s.Dropped[DroppedQueueFull] += q.counts.full
	s.Dropped[DroppedExportFailed] += q.counts.failed
	s.Dropped[DroppedShutdown] += q.counts.late
	s.Queued = max(s.Queued, int(q.counts.pending()))
	s.QueueCapacity = q.capacity
}
