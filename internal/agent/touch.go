package agent

import (
	"go.uber.org/zap"

	"github.com/remora-agent/remora/bpf"
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
	if err := a.fs.Touch(t.process.PID, t.binary.EntryPoint(), addrs); err != nil && a.fs.Same(t.process) {
		a.cfg.Log.Warn("requests of the process may go out without traceparent", zap.Int("pid", t.process.PID), zap.Error(err))
	}
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
			addr, size := bpf.UnpackPiece(p)
			addrs = append(addrs, addr, addr+size-1)
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
