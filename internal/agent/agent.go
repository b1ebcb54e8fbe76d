// Package agent is the run loop: a target appears, its binary is analysed, programs are attached, events become spans and
// go out, the target leaves.
package agent

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/export"
	"github.com/remora-agent/remora/probes"
	"github.com/remora-agent/remora/probes/all"
	"github.com/remora-agent/remora/process"
)

// Config is all that an Agent needs. It reads no global state but the machine's.
type Config struct {
	Selector process.Selector
	ProcRoot string        // "/proc"
	Interval time.Duration // between looks for new targets
	Version  string        // of Remora
	Getenv   func(string) string
	Export   export.Config
	Sampler  export.Sampler
	Listen   string // address of /metrics, /healthz, /readyz; "" for none
	Kernel   Kernel
	// Operations is how many can be under way at once, in all targets.
	Operations   int
	Inject       bpf.Mechanisms // how trace context comes into outgoing requests; the kernel must have them
	CannotInject error          // why it does not, though it is wanted
	Faults       bpf.Faults     // what is to fail, for tests
	Log          *zap.Logger
}

// Kernel is what the agent must know of it.
type Kernel struct{ UprobeMulti, AttachCookie, RegisterWrites bool }

const (
	drainInterval = 50 * time.Millisecond // between reads of the ring buffer
	ringBytes     = 4 << 20               // 80 MB of events a second with the interval above
	trialInterval = time.Second
	shutdownTime  = 10 * time.Second // for the last spans to go out
	shutdownQuiet = time.Second      // of it, before the log says that it takes time
)

// Agent traces processes until its context ends.
type Agent struct {
	cfg      Config
	fs       process.FS
	scanner  *process.Scanner
	runtime  *bpf.Runtime
	reader   *bpf.Reader
	pipeline *export.Pipeline
	clock    *export.Clock
	probes   []probes.Probe
	decoders []probes.Decoder
	programs *programs
	targets  *targets
	counters counters
	metrics  *metrics
	host     string
	boot     time.Time
	nextID   uint32
	missed   overlooked
	faults   uint64          // bpf.Losses.WriteFault, when last looked at
	fetching atomic.Bool     // pages of targets: see fetchAbsent
	patience context.Context // of Close with the exporters
	hurry    context.CancelCauseFunc
}

// New prepares an agent; nothing is attached yet. The caller must call Run or Close.
func New(cfg Config) (_ *Agent, err error) {
	a := &Agent{
		cfg:     cfg,
		fs:      process.NewFS(cfg.ProcRoot),
		clock:   export.NewClock(),
		probes:  all.Probes(),
		targets: newTargets(),
		host:    hostname(),
	}
	a.patience, a.hurry = context.WithCancelCause(context.Background())
	a.scanner = process.NewScanner(a.fs, cfg.Selector)
	if a.boot, err = a.fs.BootTime(); err != nil {
		return nil, err
	}
	for _, p := range a.probes {
		d, err := p.NewDecoder(cfg.Getenv)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		a.decoders = append(a.decoders, d)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	a.metrics = newMetrics(a)
	if a.runtime, err = bpf.Open(bpf.Options{
		RingBytes:      ringBytes,
		InFlight:       cfg.Operations,
		UprobeMulti:    cfg.Kernel.UprobeMulti,
		AttachCookie:   cfg.Kernel.AttachCookie,
		Inject:         cfg.Inject.Any(),
		Steer:          cfg.Inject.Steer,
		RegisterWrites: cfg.Kernel.RegisterWrites,
		Faults:         cfg.Faults,
		Sampling:       sampling(cfg.Sampler),
	}); err != nil {
		return nil, err
	}
	if err := a.runtime.WatchEnd(); err != nil {
		cfg.Log.Warn("if the agent is killed, a request whose header is being written at that moment may be damaged", zap.Error(err))
	}
	a.programs = newPrograms(a.runtime, a.probes, cfg.Inject)
	if a.reader, err = a.runtime.NewReader(); err != nil {
		return nil, err
	}
	if a.pipeline, err = export.New(cfg.Export, export.OnExport(a.onExport)); err != nil {
		return nil, err
	}
	if err = a.metrics.listen(cfg.Listen); err != nil {
		return nil, err
	}
	return a, nil
}

func sampling(s export.Sampler) bpf.Sampling {
	out := bpf.Sampling{Threshold: s.Threshold}
	switch s.Root {
	case export.AlwaysOn:
		out.Root = bpf.SamplerAlwaysOn
	case export.AlwaysOff:
		out.Root = bpf.SamplerAlwaysOff
	case export.Ratio:
		out.Root = bpf.SamplerRatio
	}
	if s.ParentBased {
		out.ParentBased = 1
	}
	return out
}

// Run traces until ctx ends, and returns when the last spans are out: nil, or an error that says what was lost.
func (a *Agent) Run(ctx context.Context) error {
	scan := time.NewTicker(a.cfg.Interval)
	drain := time.NewTicker(drainInterval)
	trials := time.NewTicker(trialInterval)
	defer scan.Stop()
	defer drain.Stop()
	defer trials.Stop()
	if a.cfg.CannotInject != nil {
		a.cfg.Log.Warn("calls to other services are traced, but their traces do not go on there: traceparent is not written into requests",
			zap.Error(a.cfg.CannotInject))
	}
	a.warnOwnAttributes()
	if err := a.scan(); err != nil {
		return errors.Join(err, a.Close())
	}
	if a.done() {
		return errors.Join(errors.New("nothing to trace: no process named by its ID is a Go program that can be traced"), a.Close())
	}
	a.metrics.ready.Store(true)
	for {
		var err error
		select {
		case <-ctx.Done():
			return a.Close()
		case <-scan.C:
			err = a.scan()
		case <-drain.C:
			err = a.drain()
		case <-trials.C:
			a.programs.tryAll(a.cfg.Log)
			a.touchAgain()
		}
		if err != nil {
			return errors.Join(err, a.Close())
		}
		if a.done() {
			a.cfg.Log.Info("all processes named by their IDs have left")
			defer context.AfterFunc(ctx, a.Hurry)() // there is nothing else left to end
			return a.Close()
		}
	}
}

// done says whether no target can ever appear again: all were named by process ID, and those processes have left.
func (a *Agent) done() bool {
	s := a.cfg.Selector
	return len(s.PIDs) > 0 && len(s.Exe) == 0 && len(s.Descendants) == 0 && len(a.targets.all()) == 0
}

// scan attaches to targets that appeared and lets go of those that left.
func (a *Agent) scan() error {
	appeared, gone, err := a.scanner.Scan()
	if err != nil {
		return fmt.Errorf("cannot look for targets: %w", err)
	}
	a.warnOverlooked()
	for _, p := range gone {
		a.release(p)
	}
	for _, p := range appeared {
		a.trace(p)
		a.warnEnvironment(p)
		if err := a.drain(); err != nil { // analysing many binaries takes longer than the ring buffer can wait
			return err
		}
	}
	a.touchNew()
	a.targets.sweep(a.finish)
	return nil
}

// Hurry has Close, now or when it comes to that, not wait for exporters: what they have not taken is lost, and counted. Programs
// are detached with the same care, however long that takes: in the middle of steering a request it would break the request.
func (a *Agent) Hurry() { a.hurry(errors.New("stopped by a signal")) }

// Close detaches everything, sends what is left, and frees all. It may be called in any state, once.
func (a *Agent) Close() error {
	var errs []error
	a.drainHeaders(a.targets.all()...)
	for _, t := range a.targets.all() {
		a.detach(t)
	}
	if a.reader != nil {
		errs = append(errs, a.drain(), a.reader.Close())
	}
	for _, t := range a.targets.all() {
		a.finish(t)
	}
	if a.pipeline != nil {
		errs = append(errs, a.shutdownExport())
	}
	if a.metrics != nil {
		errs = append(errs, a.metrics.close())
	}
	if a.pipeline != nil {
		errs = append(errs, a.sayDropped())
	}
	if a.runtime != nil {
		errs = append(errs, a.runtime.Close())
	}
	return errors.Join(errs...)
}

// shutdownExport sends the last spans.
func (a *Agent) shutdownExport() error {
	ctx, cancel := context.WithTimeout(a.patience, shutdownTime)
	defer cancel()
	quiet := time.AfterFunc(shutdownQuiet, func() {
		a.cfg.Log.Info("waiting for the last spans to go out (another signal ends that)",
			zap.Int("spans", a.pipeline.Stats().Queued), zap.Stringer("at_most", shutdownTime-shutdownQuiet))
	})
	defer quiet.Stop()
	return a.pipeline.Shutdown(ctx)
}

// onExport logs a failing exporter once per cause, and that it works again.
func (a *Agent) onExport(exporter string, lost int, d time.Duration, err error) {
	a.metrics.exported(exporter, d)
	if a.counters.newCause(exporter, err) {
		if err != nil {
			a.cfg.Log.Error(err.Error(), zap.String("exporter", exporter), zap.Int("spans_lost", lost))
		} else {
			a.cfg.Log.Info("spans are exported again", zap.String("exporter", exporter))
		}
	}
}
