package agent

import (
	"go.uber.org/zap"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/process"
)

// overlooked remembers what was said, once, of what the agent does not see.
type overlooked struct{ unmatched, denied, environment bool }

// warnOverlooked says why what was named may not be found: once at the start what no process runs, and once that there are
// processes which could be it and cannot be looked at.
func (a *Agent) warnOverlooked() {
	if len(a.cfg.Selector.Exe) == 0 {
		return // children of ours, or processes that were looked at before
	}
	if !a.missed.unmatched {
		a.missed.unmatched = true
		for _, pattern := range a.scanner.Unmatched() {
			log := a.cfg.Log.With(zap.String("exe", pattern))
			if why := process.Unusable(pattern); why != "" {
				log = log.With(zap.String("because", why))
			}
			log.Warn("no process runs this program; waiting for one")
		}
	}
	if a.missed.denied {
		return
	}
	n := a.scanner.Denied()
	if n == 0 {
		return
	}
	a.missed.denied = true
	if err := bpf.Probe().OtherProcesses(); err != nil { // else those few have a security module's protection
		a.cfg.Log.Warn("processes are not traced, whatever they run", zap.Int("processes", n), zap.Error(err))
	}
}
