package agent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"go.uber.org/zap"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/export"
	"github.com/remora-agent/remora/internal/plan"
	"github.com/remora-agent/remora/probes"
	"github.com/remora-agent/remora/process"
)

// target is one traced process.
type target struct {
	id          uint32
	process     process.Process
	path        string // of its program, as we see it
	binary      *binary
	resource    *resourcepb.Resource
	scopes      []*commonpb.InstrumentationScope // by probe
	context     probes.Target
	attachments []bpf.Attachment
	attached    int // programs
	missing     int
	touched     bool            // its pages that steering needs are present
	loaded      bool            // bias is known
	bias        uint64          // what the loader added to the program's addresses
	absent      map[uint64]bool // pages to be fetched, by number
	gone        time.Time       // zero while the process runs; written under targets.mu
}

// linger is how long a target that left is kept: its last events are still in the ring buffer.
const linger = 4 * drainInterval

// targets are the traced processes by their ID in events.
type targets struct {
	mu   sync.Mutex // metrics are read while the loop runs
	byID map[uint32]*target
}

func newTargets() *targets { return &targets{byID: map[uint32]*target{}} }

func (ts *targets) get(id uint32) *target {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.byID[id]
}

func (ts *targets) put(t *target) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.byID[t.id] = t
}

func (ts *targets) remove(t *target) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	delete(ts.byID, t.id)
}

// all returns them in the order in which they appeared.
func (ts *targets) all() []*target {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	list := make([]*target, 0, len(ts.byID))
	for _, t := range ts.byID {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b *target) int { return int(a.id) - int(b.id) })
	return list
}

// running returns those whose process runs. Their fields do not change any more but gone, which is not to be read.
func (ts *targets) running() []*target {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	var list []*target
	for _, t := range ts.byID {
		if t.gone.IsZero() {
			list = append(list, t)
		}
	}
	return list
}

// leave notes that a target's process has left.
func (ts *targets) leave(t *target) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.gone = time.Now()
}

// find returns the running target that is this process, nil if it is none.
func (ts *targets) find(p process.Process) *target {
	for _, t := range ts.all() {
		if t.gone.IsZero() && t.process.PID == p.PID && t.process.StartTime == p.StartTime {
			return t
		}
	}
	return nil
}

// sweep calls finish for the targets that left long enough ago.
func (ts *targets) sweep(finish func(*target)) {
	for _, t := range ts.all() {
		if !t.gone.IsZero() && time.Since(t.gone) > linger {
			finish(t)
		}
	}
}

// trace attaches all probes that can be to a process. What cannot be traced is said once, and is no error of the agent.
func (a *Agent) trace(p process.Process) {
	log := a.cfg.Log.With(zap.Int("pid", p.PID), zap.String("exe", p.Exe))
	if a.targets.find(p) != nil {
		return // attached before it executed the program
	}
	a.attachAll(p, a.fs.ExePath(p.PID), log)
}

// TraceBeforeExec attaches to a child of ours that is about to execute the program at path, so that its first instruction is
// traced already. A program that is not Go's is left alone.
func (a *Agent) TraceBeforeExec(pid int, path, command string) {
	log := a.cfg.Log.With(zap.Int("pid", pid), zap.String("exe", path))
	p, err := a.fs.Process(pid)
	if err != nil {
		log.Warn("cannot trace the process", zap.Error(err))
		return
	}
	p.Exe, p.Command = path, command
	a.attachAll(p, path, log)
}

// attachAll attaches every probe to the process p, which runs the program at path, a path as we see it.
func (a *Agent) attachAll(p process.Process, path string, log *zap.Logger) {
	b, err := a.programs.acquire(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return // gone already
	case errors.Is(err, process.ErrNotELF) || errors.Is(err, process.ErrNotGo):
		if len(a.cfg.Selector.Descendants) == 0 { // of `run`, shells and others are expected
			log.Warn("cannot trace the process", zap.Error(err))
		}
		return
	case err != nil:
		log.Warn("cannot trace the process", zap.Error(err))
		return
	}
	t := a.newTarget(p, path, b)
	for i := range b.probes {
		a.attachProbe(t, &b.probes[i], log)
	}
	if path == a.fs.ExePath(p.PID) {
		t.touched = true
		a.touch(t)
	}
	a.targets.put(t) // its first events may wait already, but nobody reads them before we are done
	if !a.fs.Same(p) {
		a.release(p)
		return
	}
	if t.attached == 0 {
		log.Warn("nothing to trace in the process: no probe could be attached")
		return
	}
	log.Info("tracing", zap.String("go", b.GoVersion), zap.Int("probes", t.attached), zap.Int("missing", t.missing))
}

func (a *Agent) newTarget(p process.Process, path string, b *binary) *target {
	t := &target{id: uint32(p.PID), process: p, path: path, binary: b}
	if a.cfg.Kernel.AttachCookie {
		a.nextID++
		t.id = a.nextID
	}
	t.context = probes.Target{
		Interval: a.clock.Interval, TypeName: b.TypeName,
		Constant: func(addr uint64, n int) []byte { return a.constant(t, addr, n) },
	}
	t.resource = export.Resource(export.Identity{
		PID: p.PID, StartTime: p.Started(a.boot), ExecutablePath: p.Exe, Command: p.Command, Env: p.Env,
		GoVersion: b.GoVersion, ModulePath: b.Main.Path, ModuleVersion: b.Main.Version,
		ContainerID: p.ContainerID, HostName: a.host,
	}, a.cfg.Getenv, a.cfg.Version)
	for _, probe := range a.probes {
		t.scopes = append(t.scopes, &commonpb.InstrumentationScope{
			Name: "github.com/remora-agent/remora/" + probe.Library, Version: a.cfg.Version,
		})
	}
	return t
}

// attachProbe attaches one probe whole, but for its optional programs, or not at all.
func (a *Agent) attachProbe(t *target, l *loaded, log *zap.Logger) {
	log = log.With(zap.String("probe", l.plan.Probe.Name))
	if l.err != nil {
		if l.linked() {
			t.missing++
			log.Warn("the probe is off", zap.Error(l.err))
		}
		return
	}
	if err := verify(t.path, l.plan); err != nil {
		t.missing++
		log.Warn("the probe is off", zap.Error(err))
		return
	}
	first := len(t.attachments)
	for _, program := range slices.Backward(l.plan.Programs) {
		if program.Err != nil {
			t.missing++
			log.Warn("a part of the probe is off", zap.String("program", program.Name), zap.Error(program.Err))
			continue
		}
		warnUnseen(program, log)
		if err := a.attachProgram(t, l, program); err != nil {
			a.drainHeaders(t)
			for _, at := range slices.Backward(t.attachments[first:]) {
				err = errors.Join(err, at.Close())
			}
			for _, trial := range l.trials {
				err = errors.Join(err, trial.leave(t.id))
			}
			err = errors.Join(err, a.runtime.Resume(t.id)) // for the other probes
			t.attachments = t.attachments[:first]
			t.missing++
			if !errors.Is(err, os.ErrProcessDone) && a.fs.Same(t.process) {
				log.Warn("the probe is off", zap.Error(err))
			}
			return
		}
	}
	t.attached++
}

// warnUnseen says which calls of the target a program does not see.
func warnUnseen(program plan.Program, log *zap.Logger) {
	var where []string
	for _, copied := range program.Unseen {
		where = append(where, copied.Name+" in "+copied.In.Name)
	}
	if len(where) > 0 {
		log.Warn("calls are not traced: the compiler has inlined them", zap.String("program", program.Name), zap.Strings("calls", where))
	}
}

func (a *Agent) attachProgram(t *target, l *loaded, program plan.Program) error {
	offsets := make([]uint64, len(program.Points))
	for i, p := range program.Points {
		offsets[i] = p.Offset
	}
	for _, trial := range l.trials {
		if trial.program.Name == program.Name {
			return trial.join(&place{exe: t.path, pid: t.process.PID, target: t.id, offsets: offsets})
		}
	}
	at, err := l.bpf.Attach(program.Name, t.path, t.process.PID, offsets, t.id)
	if err != nil {
		return err
	}
	t.attachments = append(t.attachments, at)
	return nil
}

// verify compares the instructions at all points with those of the file that the process runs: a probe in the middle of an
// instruction would kill it.
func verify(exe string, p plan.Plan) error {
	f, err := os.Open(exe)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, program := range p.Programs {
		for _, point := range program.Points {
			got := make([]byte, len(point.Bytes))
			if _, err := f.ReadAt(got, int64(point.Offset)); err != nil {
				return fmt.Errorf("cannot read %s at %#x: %w", point.Func.Name, point.Addr, err)
			}
			if !bytes.Equal(got, point.Bytes) {
				return fmt.Errorf("%s at %#x is not the code that was analysed (% x, not % x): the file changed",
					point.Func.Name, point.Addr, got, point.Bytes)
			}
		}
	}
	return nil
}

// release detaches from a process that left.
func (a *Agent) release(p process.Process) {
	if t := a.targets.find(p); t != nil {
		a.detach(t)
		a.targets.leave(t)
		a.cfg.Log.Info("the process left", zap.Int("pid", p.PID), zap.String("exe", p.Exe))
	}
}

// drainHeaders waits until the requests of these targets carry whole headers: programs must not be detached before.
func (a *Agent) drainHeaders(ts ...*target) {
	var ids []uint32
	for _, t := range ts {
		ids = append(ids, t.id)
	}
	if a.runtime == nil {
		return
	}
	stalled, err := a.runtime.Drain(ids...)
	if err != nil {
		a.cfg.Log.Warn("cannot wait for headers that are being written", zap.Error(err))
	}
	if stalled > 0 {
		a.cfg.Log.Warn("requests were let go of while their header was being written: they had not gone on for seconds", zap.Int("requests", stalled))
	}
}

func (a *Agent) detach(t *target) {
	var errs []error
	for _, at := range slices.Backward(t.attachments) { // the beginning first
		errs = append(errs, at.Close())
	}
	for _, l := range t.binary.probes {
		for _, trial := range l.trials {
			errs = append(errs, trial.leave(t.id))
		}
	}
	t.attachments = nil
	if err := errors.Join(errs...); err != nil {
		a.cfg.Log.Warn("cannot detach", zap.Int("pid", t.process.PID), zap.Error(err))
	}
}

// finish forgets a target whose events have all been read.
func (a *Agent) finish(t *target) {
	n, err := a.runtime.Forget(t.id)
	if err != nil {
		a.cfg.Log.Warn("cannot forget operations in flight", zap.Int("pid", t.process.PID), zap.Error(err))
	}
	a.counters.unfinished.Add(uint64(n))
	a.targets.remove(t)
	if err := a.programs.release(t.binary); err != nil {
		a.cfg.Log.Warn("cannot close the binary", zap.String("exe", t.process.Exe), zap.Error(err))
	}
}
