// Bench measures what tracing adds to a request of a server, to a call of a client and to a query, as docs/benchmarks.md describes: the program alone
// on one CPU and saturated, the load on another. Four processes are measured in turn, a tenth of a second each, many times: one that is not
// instrumented, one with probes that do nothing (the floor), one with probes that make a span which says nothing, one with the agent. What counts
// is the difference within a turn: whatever disturbs lasts longer, and disturbs all four. Then they change places, until each has had all.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/remora-agent/remora/internal/rig"
)

type options struct {
	remora string
	rounds int
	turns  int
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
	pause     = 300 * time.Millisecond  // in which the agent exports what a measurement left
	settle    = 100 * time.Millisecond  // in which the process measured before closes its connections
	saturated = 0.85                    // the share of its CPU that the target uses at least
)

func main() {
	var o options
	flag.StringVar(&o.remora, "remora", "bin/remora", "the agent")
	flag.IntVar(&o.rounds, "rounds", 3, "how often all is done anew, with new processes")
	flag.IntVar(&o.turns, "turns", 8, "how often in a row each process is measured with the same")
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
	bins, err := buildTargets()
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
	helpers, err := costs()
	if err != nil {
		return err
	}
	fmt.Print(costsMarkdown(helpers))
	var results []result
	for _, sc := range scenarios() {
		if o.only != "" && o.only != sc.name {
			continue
		}
		r, err := measure(o, sc, bins, endpoint)
		if err != nil {
			return fmt.Errorf("%s: %w", sc.name, err)
		}
		fmt.Print(r.markdown())
		results = append(results, r)
	}
	return write(o.json, results)
}

// buildTargets returns the target's file and copies of it: the probes of one process are then nothing to the others.
func buildTargets() (bins [variants]string, err error) {
	for i := range bins {
		bins[i], err = filepath.Abs(fmt.Sprintf("bin/bench-target-%d", i))
		if err != nil {
			return bins, err
		}
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", bins[0], "./internal/bench/target")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return bins, fmt.Errorf("build the target: %w\n%s", err, out)
	}
	data, err := os.ReadFile(bins[0])
	if err != nil {
		return bins, err
	}
	for _, copied := range bins[1:] {
		if err := os.WriteFile(copied, data, 0o755); err != nil {
			return bins, err
		}
	}
	return bins, nil
}
