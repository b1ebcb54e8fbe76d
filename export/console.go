package export

import (
	"context"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// The console exporter's times and bounds.
const (
	consoleDelay     = 100 * time.Millisecond // between two looks for finished traces
	consoleIdle      = 300 * time.Millisecond // a trace that got no span for so long is finished
	consoleMaxTraces = 1000                   // unfinished traces; beyond it the oldest is printed as it is
	consoleMaxSpans  = 10000                  // spans in unfinished traces; likewise
	consoleWidth     = 100                    // columns of a terminal that does not tell
)

// console prints traces to a terminal, as trees, or to anything else, as lines. Nothing tells when a trace is complete, so
// spans are kept until their trace has been quiet for a while.
type console struct {
	w      io.Writer
	closer io.Closer // of w; may be nil
	idle   time.Duration
	now    func() time.Time
	render func(out []byte, spans []item) []byte // appends the text of a trace

	open  []*openTrace // in order of first arrival
	byID  map[string]*openTrace
	spans int // in open
}

// openTrace is a trace that may get more spans.
type openTrace struct {
	id    string
	spans []item
	last  time.Time // when the last span came
}

type consoleOptions struct {
	w    io.Writer // nil: the standard output
	idle time.Duration
}

func newConsole(o consoleOptions) (*console, error) {
	c := &console{w: o.w, idle: o.idle, now: time.Now, render: appendLines, byID: make(map[string]*openTrace)}
	if c.w != nil {
		return c, nil
	}
	out, err := duplicate(os.Stdout)
	if err != nil {
		return nil, &Failure{Destination: "the console", Cause: err.Error(), Err: err}
	}
	c.w, c.closer = out, out
	if fd := int(out.Fd()); term.IsTerminal(fd) {
		// https://no-color.org: any value but the empty one.
		t := treeStyle{color: os.Getenv("NO_COLOR") == "", width: func() int { return terminalWidth(fd) }}
		c.render = t.append
	}
	return c, nil
}

// duplicate returns another file descriptor of f. When descriptor 1 or 2 is a broken pipe, a write to it ends a Go program
// by SIGPIPE (https://pkg.go.dev/os/signal#hdr-SIGPIPE); a write to any other only fails, and the agent lives on.
func duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

func terminalWidth(fd int) int {
	width, _, err := term.GetSize(fd)
	if err != nil || width <= 0 {
		return consoleWidth
	}
	return width
}

// send buffers the batch and prints the traces that are finished, and the oldest ones beyond the bounds.
func (c *console) send(_ context.Context, batch []item) outcome {
	now := c.now()
	for _, it := range batch {
		c.buffer(it, now)
	}
	surplus := 0
	for spans := c.spans; len(c.open)-surplus > consoleMaxTraces || spans > consoleMaxSpans; surplus++ {
		spans -= len(c.open[surplus].spans)
	}
	finished := slices.Clone(c.open[:surplus])
	for _, t := range c.open[surplus:] {
		if now.Sub(t.last) >= c.idle {
			finished = append(finished, t)
		}
	}
	return c.print(finished)
}

// finish prints all that is buffered.
func (c *console) finish(context.Context) outcome {
	out := c.print(c.open)
	if c.closer != nil {
		// Everything was written before; a failure here loses nothing.
		_ = c.closer.Close()
	}
	return out
}

func (c *console) buffer(it item, now time.Time) {
	t := c.byID[string(it.span.TraceId)]
	if t == nil {
		t = &openTrace{id: string(it.span.TraceId)}
		c.byID[t.id] = t
		c.open = append(c.open, t)
	}
	t.spans = append(t.spans, it)
	t.last = now
	c.spans++
}

// print writes traces in one piece and forgets them, whether the write succeeds or not.
func (c *console) print(traces []*openTrace) outcome {
	if len(traces) == 0 {
		return outcome{}
	}
	var text []byte
	spans := 0
	for _, t := range traces {
		text = c.render(text, t.spans)
		spans += len(t.spans)
		delete(c.byID, t.id)
	}
	c.spans -= spans
	c.open = slices.DeleteFunc(slices.Clone(c.open), func(t *openTrace) bool { return c.byID[t.id] != t })
	if _, err := c.w.Write(text); err != nil {
		return outcome{failed: spans, err: &Failure{Destination: "the console", Cause: err.Error(), Err: err}}
	}
	return outcome{exported: spans}
}
