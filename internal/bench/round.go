package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/rig"
)

// What a process is measured with.
const (
	alone  = iota // nothing
	floor         // probes that do nothing
	bare          // probes that make the least that a span can be
	traced        // the agent
	variants
)

// turn is one measurement of each process, in microseconds of CPU per operation.
type turn [variants]float64

// bench collects the measurements of one kind.
type bench struct {
	options
	scenario scenario
	bins     [variants]string
	offsets  []uint64
	endpoint string // OTLP

	rounds            [][variants][]turn // of each round, of each way to hand out what the processes are measured with
	disturbed         int                // turns left out: a process had not its CPU for itself, or the load did not saturate it
	spanCPU, resident []float64          // the agent's: microseconds per span, bytes
	spans, drops      float64
}

// measure measures one scenario in all its rounds.
func measure(o options, sc scenario, bins [variants]string, endpoint string) (result, error) {
	programs := sc.programs
	if bpf.Probe().UserWrites() == nil {
		programs = slices.Concat(programs, sc.injects)
	}
	offsets, err := spanOffsets(o.remora, bins[alone], programs)
	if err != nil {
		return result{}, err
	}
	b := bench{options: o, scenario: sc, bins: bins, offsets: offsets, endpoint: endpoint}
	for n := range o.rounds {
		fmt.Fprintf(os.Stderr, "%s: round %d of %d\n", sc.name, n+1, o.rounds)
		if err := b.round(); err != nil {
			return result{}, err
		}
	}
	return b.result(), nil
}

// round starts the processes and measures each with everything: no two lie in memory alike, which would make more of a difference than a probe.
func (b *bench) round() (err error) {
	var loads [variants]*load
	for i := range loads {
		if loads[i], err = b.scenario.start(b.bins[i], b.conns); err != nil {
			return err
		}
		defer func() { loads[i].target.Stop(); err = errors.Join(err, loads[i].close()) }()
	}
	var all [variants][]turn
	for shift := range all {
		var handed [variants]*load
		for i := range handed {
			handed[i] = loads[(i+shift)%variants]
		}
		if all[shift], err = b.handedOut(handed); err != nil {
			return err
		}
	}
	b.rounds = append(b.rounds, all)
	return nil
}

// handedOut measures each process with what its place says.
func (b *bench) handedOut(loads [variants]*load) (turns []turn, err error) {
	nothing, err := attachFloor(loads[floor].target.PID, b.offsets)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, nothing.Close()) }()
	least, err := attachBare(loads[bare].target.PID, b.offsets, b.scenario.endsElsewhere)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, least.Close()) }()
	agent, err := rig.StartAgent(b.remora, loads[traced].target.PID, io.Discard, os.Stderr,
		"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_ENDPOINT="+b.endpoint)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, agent.Stop()) }()
	for i, warm := range [variants]time.Duration{warmUp, warmUp, warmUp, trial} {
		if _, _, err := loads[i].run(warm); err != nil {
			return nil, err
		}
	}
	err = b.account(agent, func() (err error) {
		turns, err = b.takeTurns(loads, least, agent)
		return err
	})
	return turns, err
}

// takeTurns measures each process once in every turn. The agent stands still meanwhile, but for a pause after its own measurement: its work is not the
// target's, and would slow the load that it shares a CPU with.
func (b *bench) takeTurns(loads [variants]*load, least *yardstick, agent *rig.Agent) (list []turn, err error) {
	if err := agent.Pause(); err != nil {
		return nil, err
	}
	for n := range b.turns {
		var t turn
		for i := range loads {
			i = (i + n) % variants // each comes first as often as the others
			took, err := b.measureOnce(loads[i])
			if err != nil {
				return nil, err
			}
			t[i] = took
			if i == traced {
				err = errors.Join(agent.Resume(), sleep(pause), agent.Pause())
			} else if i == bare {
				err = least.empty()
			}
			if err != nil {
				return nil, err
			}
		}
		if slices.Contains(t[:], 0) {
			b.disturbed++
		} else {
			list = append(list, t)
		}
	}
	return list, agent.Resume()
}

func sleep(d time.Duration) error {
	time.Sleep(d)
	return nil
}

// measureOnce returns microseconds of CPU per operation, 0 if the measurement was disturbed.
func (b *bench) measureOnce(l *load) (float64, error) {
	time.Sleep(settle)
	before, err := cpuTime(l.target.PID)
	if err != nil {
		return 0, err
	}
	n, took, err := l.run(cmp.Or(b.scenario.slice, b.slice))
	if err != nil {
		return 0, err
	}
	after, err := cpuTime(l.target.PID)
	if err != nil {
		return 0, err
	}
	ran := after - before
	if float64(ran) < saturated*float64(took) || n == 0 {
		return 0, nil
	}
	return float64(ran.Nanoseconds()) / 1e3 / float64(n), nil
}

// account adds up what the agent itself uses while do runs.
func (b *bench) account(agent *rig.Agent, do func() error) error {
	before, err := agent.Metrics()
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	time.Sleep(time.Second) // for the last batch
	after, err := agent.Metrics()
	if err != nil {
		return err
	}
	used := func(name string) float64 { return after.Sum(name) - before.Sum(name) }
	spans := used("remora_spans_exported_total")
	if spans == 0 {
		return errors.New("the agent exported no span")
	}
	b.spans += spans
	b.drops += used("remora_spans_dropped_total")
	b.spanCPU = append(b.spanCPU, used("process_cpu_seconds_total")*1e6/spans)
	b.resident = append(b.resident, after.Sum("process_resident_memory_bytes"))
	return nil
}
