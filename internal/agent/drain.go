package agent

import (
	"maps"
	"os"
	"slices"
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

// dropped counts the spans that were lost, by reason: those in the kernel are given.
func (a *Agent) dropped(l bpf.Losses) map[string]uint64 {
	lost := a.pipeline.Stats().Dropped
	maps.Copy(lost, map[string]uint64{
		"ring_full": l.RingFull, "map_full": l.MapFull, "memory_unreadable": l.Read, "unsupported": l.Unsupported,
		"decode":         a.counters.decode.Load(),
		"target_unknown": a.counters.unknown.Load(),
		"target_exited":  a.counters.unfinished.Load(),
	})
	return lost
}

// sayDropped logs how many spans were lost, if there are any: who runs a command looks at no metrics.
func (a *Agent) sayDropped() error {
	l, err := a.runtime.Losses()
	if err != nil {
		return err
	}
	lost := a.dropped(l)
	var reasons []zap.Field
	for _, reason := range slices.Sorted(maps.Keys(lost)) {
		if lost[reason] > 0 {
			reasons = append(reasons, zap.Uint64(reason, lost[reason]))
		}
	}
	if len(reasons) > 0 {
		a.cfg.Log.Warn("spans were lost, by reason (docs/metrics.md has what to do)", reasons...)
	}
	return nil
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
