// Bench measures what tracing adds to a request of a server, to a call of a client and to a query, as docs/benchmarks.md describes: the program alone
// on one CPU and saturated, the load on another; not instrumented, with probes that do nothing (the floor), with probes that make a span which
// says nothing, and with the agent, in turn, for several rounds. The fastest measurement of each counts: whatever disturbs only adds time.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/rig"
)

type options struct {
	remora string
	rounds int
	conns  int
	slice  time.Duration
	json   string
	only   string
}

const (
	loadCPU   = 0
	targetCPU = 1
	warmUp    = 200 * time.Millisecond
	trial     = 1500 * time.Millisecond // the agent's probes on trial leave in this time
	repeats   = 6                       // short measurements of each in a round
	pause     = 300 * time.Millisecond  // in which the agent exports what a short measurement left
	saturated = 0.95                    // the share of its CPU that the target uses at least
)

func main() {
	var o options
	flag.StringVar(&o.remora, "remora", "bin/remora", "the agent")
	flag.IntVar(&o.rounds, "rounds", 15, "how often each of the four is measured")
	flag.IntVar(&o.conns, "conns", 32, "connections")
	flag.DurationVar(&o.slice, "slice", 100*time.Millisecond, "one short measurement")
	flag.StringVar(&o.only, "only", "", "measure only this `kind`: HTTP/1 server, HTTP/2 server, HTTP/1 client, gRPC server, gRPC client, SQL query")
	flag.StringVar(&o.json, "json", "bin/bench.json", "file for the result")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	if os.Geteuid() != 0 {
		return errors.New("only root may load BPF programs (try sudo make bench)")
	}
	bin, err := buildTarget()
	if err != nil {
		return err
	}
	if err := pinSelf(loadCPU); err != nil {
		return err
	}
	endpoint, err := rig.Discard()
	if err != nil {
		return err
	}
	var results []result
	for _, sc := range scenarios() {
		if o.only != "" && o.only != sc.name {
			continue
		}
		r, err := measureAll(o, sc, bin, endpoint)
		if err != nil {
			return fmt.Errorf("%s: %w", sc.name, err)
		}
		fmt.Print(r.markdown())
		results = append(results, r)
	}
	return write(o.json, results)
}

// measureAll measures one scenario in all its rounds.
func measureAll(o options, sc scenario, bin, endpoint string) (_ result, err error) {
	load, err := sc.start(bin, o.conns)
	if err != nil {
		return result{}, err
	}
	defer func() { load.target.Stop(); err = errors.Join(err, load.close()) }()
	programs := sc.programs
	if bpf.Probe().UserWrites() == nil {
		programs = slices.Concat(programs, sc.injects)
	}
	offsets, err := spanOffsets(o.remora, bin, programs)
	if err != nil {
		return result{}, err
	}
	b := bench{options: o, scenario: sc, load: load, offsets: offsets, endpoint: endpoint}
	for round := range o.rounds {
		fmt.Fprintf(os.Stderr, "%s: round %d of %d\n", sc.name, round+1, o.rounds)
		if err := b.round(); err != nil {
			return result{}, err
		}
	}
	fmt.Fprintf(os.Stderr, "all measurements: alone %.1f, floor %.1f, bare %.1f, traced %.1f\n", b.alone.perRequest, b.floor.perRequest, b.bare.perRequest, b.traced.perRequest)
	return b.result(), nil
}

func buildTarget() (string, error) {
	bin, err := filepath.Abs("bin/bench-target")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", bin, "./internal/bench/target")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the target: %w\n%s", err, out)
	}
	return bin, nil
}

// series are the short measurements of one kind in which the target had its CPU for itself, in microseconds per request.
type series struct {
	perRequest []float64
	disturbed  int // those in which it had not, or the load did not saturate it
}

// bench collects the measurements.
type bench struct {
	options
	scenario scenario
	load     *load
	offsets  []uint64
	endpoint string // OTLP

	alone, floor, bare, traced series
	spanCPU, resident          []float64 // the agent's: microseconds per span, bytes
	spans, drops               float64
}

func (b *bench) round() error {
	nothing := func() error { return nil }
	if err := b.measure(&b.alone, warmUp, nothing, nothing); err != nil {
		return err
	}
	floor, err := attachFloor(b.load.target.PID, b.offsets)
	if err != nil {
		return err
	}
	if err := errors.Join(b.measure(&b.floor, warmUp, nothing, nothing), floor.Close()); err != nil {
		return err
	}
	bare, err := attachBare(b.load.target.PID, b.offsets, b.scenario.endsElsewhere)
	if err != nil {
		return err
	}
	if err := errors.Join(b.measure(&b.bare, warmUp, bare.empty, nothing), bare.Close()); err != nil {
		return err
	}
	return b.withAgent()
}

// measure adds a round's measurements to a series, each between before and after.
func (b *bench) measure(s *series, warm time.Duration, before, after func() error) error {
	if _, _, err := b.load.run(warm); err != nil {
		return err
	}
	for range repeats {
		if err := before(); err != nil {
			return err
		}
		if err := errors.Join(b.measureOnce(s), after()); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) measureOnce(s *series) error {
	before, err := cpuTime(b.load.target.PID)
	if err != nil {
		return err
	}
	n, took, err := b.load.run(cmp.Or(b.scenario.slice, b.slice))
	if err != nil {
		return err
	}
	after, err := cpuTime(b.load.target.PID)
	if err != nil {
		return err
	}
	if float64(after-before) < saturated*float64(took) {
		s.disturbed++
		return nil
	}
	s.perRequest = append(s.perRequest, float64(took.Nanoseconds())/1e3/float64(n))
	return nil
}

// withAgent measures with the agent attached, and what the agent itself used meanwhile.
func (b *bench) withAgent() (err error) {
	agent, err := rig.StartAgent(b.remora, b.load.target.PID, io.Discard, os.Stderr,
		"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_ENDPOINT="+b.endpoint)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, agent.Stop()) }()
	before, err := agent.Metrics()
	if err != nil {
		return err
	}
	// The agent stands still during each measurement: its work is not the target's, and would slow the load that it shares a CPU with.
	stop := func() error { time.Sleep(pause); return agent.Pause() }
	if err := b.measure(&b.traced, trial, stop, agent.Resume); err != nil {
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
