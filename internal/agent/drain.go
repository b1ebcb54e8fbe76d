package agent

import (
	"os"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/remora-agent/remora/bpf"
)

// counters count what happened to events in user space.
type counters struct {
	decode, unknown, unfinished atomic.Uint64
	absent, unread              atomic.Uint64 // pages; pieces of text

	refused sync.Once // by a decoder: said once

	mu     sync.Mutex
	causes map[string]string // the last error of each exporter
}

// newCause says whether an exporter's outcome differs from its last one.
func (c *counters) newCause(exporter string, err error) bool {
	cause := ""
	if err != nil {
		cause = err.Error()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.causes == nil {
		c.causes = map[string]string{}
	}
	changed := c.causes[exporter] != cause
	c.causes[exporter] = cause
	return changed
}

// drain turns the events that wait into spans and hands them on.
func (a *Agent) drain() error {
	err := a.reader.Drain(a.handle)
	a.fetchAbsent()
	return err
}

func (a *Agent) handle(event []byte) {
	if id, addr, ok := bpf.AbsentPage(event); ok {
		if t := a.targets.get(id); t != nil {
			a.noteAbsent(t, addr)
		}
		return
	}
	head, ok := bpf.Head(event)
	if !ok || int(head.Probe) >= len(a.decoders) {
		a.counters.decode.Add(1)
		return
	}
	t := a.targets.get(head.Target)
	if t == nil {
		a.counters.unknown.Add(1)
		return
	}
	span, err := a.decoders[head.Probe](head, event, t.context)
	if err != nil {
		a.counters.decode.Add(1)
		a.counters.refused.Do(func() { a.cfg.Log.Error("cannot decode an event (said once, see /metrics)", zap.Error(err)) })
		return
	}
	a.pipeline.Add(t.resource, t.scopes[head.Probe], span)
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "" // the resource leaves it out
	}
	return name
}
