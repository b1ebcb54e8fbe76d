package agent

import (
	"go.uber.org/zap"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/process"
)

// touchNew makes the memory of new targets readable that requests are steered with. A child of `run` has it only when it
// executes its program.
func (a *Agent) touchNew() {
	for _, t := range a.targets.running() {
		if !t.touched {
			t.touched = true
			a.touch(t)
		}
	}
}

// touchAgain does so for all targets when a program could not read some: the kernel takes pages away that nobody uses.
func (a *Agent) touchAgain() {
	l, err := a.runtime.Losses()
	if err != nil || l.WriteFault == a.faults {
		return // the metrics show the error
	}
	a.faults = l.WriteFault
	for _, t := range a.targets.running() {
		a.touch(t)
	}
}

func (a *Agent) touch(t *target) {
	var addrs []uint64
	for _, l := range t.binary.probes {
		if l.bpf != nil && l.steers() {
			addrs = append(addrs, pieceAddresses(l.plan.Constants)...)
		}
	}
	if len(addrs) == 0 {
		return
	}
	bias, err := a.loadBias(t)
	if err == nil {
		for i := range addrs {
			addrs[i] += bias
		}
		err = a.fs.Touch(t.process.PID, addrs)
	}
	if err != nil && a.fs.Same(t.process) {
		a.cfg.Log.Warn("requests of the process may go out without traceparent", zap.Int("pid", t.process.PID), zap.Error(err))
	}
}

// loadBias is what the loader added to the addresses of a target's program, which must have begun to run.
func (a *Agent) loadBias(t *target) (bias uint64, err error) {
	if t.binary.PIE && !t.loaded {
		if t.bias, err = a.fs.LoadBias(t.process.PID, t.binary.EntryPoint()); err != nil {
			return 0, err
		}
		t.loaded = true
	}
	return t.bias, nil
}

// steers says whether a program is attached that steers.
func (l *loaded) steers() bool {
	for _, program := range l.plan.Programs {
		if program.InsteadOf != "" && program.Err == nil {
			return true
		}
	}
	return false
}

// pieceAddresses returns the link-time addresses of all pieces in a probe's constants.
func pieceAddresses(constants map[string]any) []uint64 {
	var addrs []uint64
	add := func(packed ...uint64) {
		for _, p := range packed {
			if addr, size := bpf.UnpackPiece(p); size > 0 { // not a pair of digits that is missing
				addrs = append(addrs, addr, addr+size-1)
			}
		}
	}
	for _, value := range constants {
		pieces, ok := value.(bpf.Pieces)
		if !ok {
			continue
		}
		for _, text := range pieces.Texts {
			add(text.At[:text.N]...)
		}
		add(pieces.Hex[:]...)
		add(pieces.Byte[:]...)
	}
	return addrs
}

const maxAbsent = 256 // pages fetched of a target at once

// noteAbsent notes that a program could not read this address of a target, for fetchAbsent.
func (a *Agent) noteAbsent(t *target, addr uint64) {
	if t.absent == nil {
		t.absent = map[uint64]bool{}
	}
	if len(t.absent) < maxAbsent {
		t.absent[addr/process.PageSize] = true
	}
}

// fetchAbsent has the kernel make pages present that programs could not read: whoever needs them next finds them. It does not wait for
// them: they may come from a file system that takes its time.
func (a *Agent) fetchAbsent() {
	if a.fetching.Load() {
		return // next time
	}
	pages := map[int][]uint64{} // addresses, by process ID
	for _, t := range a.targets.running() {
		for page := range t.absent {
			pages[t.process.PID] = append(pages[t.process.PID], page*process.PageSize)
		}
		a.counters.absent.Add(uint64(len(t.absent)))
		clear(t.absent)
	}
	if len(pages) == 0 {
		return
	}
	a.fetching.Store(true)
	go func() {
		defer a.fetching.Store(false)
		for pid, addrs := range pages {
			if err := a.fs.Touch(pid, addrs); err != nil {
				a.cfg.Log.Debug("cannot fetch pages", zap.Int("pid", pid), zap.Error(err)) // what was read was no address
			}
		}
	}()
}

// constant returns n bytes of what a target's program cannot change, at an address of the process. They are nil, and counted, where there is no such
// thing: a program found no page there, which is fetched.
func (a *Agent) constant(t *target, addr uint64, n int) []byte {
	if bias, err := a.loadBias(t); err == nil {
		if text, ok := t.binary.Constant(addr-bias, n); ok {
			return text
		}
	}
	a.noteAbsent(t, addr)
	a.noteAbsent(t, addr+uint64(n)-1)
	a.counters.unread.Add(1)
	return nil
}
