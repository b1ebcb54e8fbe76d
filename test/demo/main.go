// Demo runs a small shop under a few seconds of traffic, traces it from outside, and prints its traces and what tracing cost. It
// is below test/ because it is a run of the whole product that must succeed: `make demo` fails when a request has no span.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/remora-agent/remora/internal/promtext"
	"github.com/remora-agent/remora/internal/rig"
)

const (
	remora    = "bin/remora"
	shopBin   = "bin/shop"
	customers = 4
	visit     = 5 * time.Second
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run() error {
	if os.Geteuid() != 0 {
		return errors.New("only root may load BPF programs (try sudo make demo)")
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", shopBin, "./test/demo/shop")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the shop: %w\n%s", err, out)
	}
	abs, err := filepath.Abs(shopBin)
	if err != nil {
		return err
	}
	shop, err := rig.StartTarget([]string{abs}, "GOMAXPROCS=1")
	if err != nil {
		return err
	}
	defer shop.Stop()
	fmt.Printf("A shop runs as process %d: stripped, without a line of tracing code. Customers come for %v.\n\n", shop.PID, visit)

	sent, metrics, err := traceVisit(shop)
	if err != nil {
		return err
	}
	cost, err := measureCost(shop)
	if err != nil {
		return err
	}
	return summarize(sent, metrics, cost)
}

// traceVisit lets customers visit the traced shop. It returns how many requests they sent, and the agent's metrics at the end.
func traceVisit(shop *rig.Target) (sent int, page promtext.Page, err error) {
	agent, err := rig.StartAgent(remora, shop.PID, os.Stdout, os.Stderr, "OTEL_TRACES_EXPORTER=console", "OTEL_BSP_SCHEDULE_DELAY=200")
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, agent.Stop()) }()
	sent = drive("http://" + shop.Addr)
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		page, err = agent.Metrics()
		if err != nil {
			return sent, nil, err
		}
		if page.Sum("remora_spans_exported_total")+page.Sum("remora_spans_dropped_total") >= float64(sent) {
			break
		}
	}
	return sent, page, nil
}

// perRequest is a time per request, without the agent and with it.
type perRequest struct{ alone, traced time.Duration }

// measureCost asks for the cheapest page as fast as the shop answers, without and with an agent that exports OTLP, in turn.
func measureCost(shop *rig.Target) (perRequest, error) {
	endpoint, err := rig.Discard()
	if err != nil {
		return perRequest{}, err
	}
	var sum perRequest
	const rounds = 3
	for range rounds {
		alone, err := timeRequest(shop)
		if err != nil {
			return perRequest{}, err
		}
		var log bytes.Buffer
		agent, err := rig.StartAgent(remora, shop.PID, io.Discard, &log, "OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint)
		if err != nil {
			return perRequest{}, fmt.Errorf("%w\n%s", err, log.String())
		}
		traced, err := timeRequest(shop)
		if err := errors.Join(err, agent.Stop()); err != nil {
			return perRequest{}, err
		}
		sum.alone += alone / rounds
		sum.traced += traced / rounds
	}
	return sum, nil
}

func timeRequest(shop *rig.Target) (time.Duration, error) {
	n, took, err := rig.Load(shop.Addr, "/", 16, 700*time.Millisecond)
	if err != nil {
		return 0, err
	}
	return took / time.Duration(n), nil
}

// summarize prints what happened, and fails when a request is missing.
func summarize(sent int, page promtext.Page, cost perRequest) error {
	exported, dropped := int(page.Sum("remora_spans_exported_total")), int(page.Sum("remora_spans_dropped_total"))
	fmt.Printf("\nSummary\n")
	fmt.Printf("  requests        %d\n", sent)
	fmt.Printf("  spans           %d\n", exported)
	fmt.Printf("  drops           %d%s\n", dropped, reasons(page))
	fmt.Printf("  probes          %.0f attached, %.0f missing\n", page.Sum("remora_target_probes_attached"), page.Sum("remora_target_probes_missing"))
	fmt.Printf("  agent           %.1f MB resident\n", page.Sum("process_resident_memory_bytes")/1e6)
	added := "too little to tell"
	if d := (cost.traced - cost.alone).Round(100 * time.Nanosecond); d > 0 {
		added = fmt.Sprintf("about %v per request", d)
	}
	fmt.Printf("  added cost      %s (%v without, %v with the agent; an estimate: make bench measures it)\n",
		added, cost.alone.Round(100*time.Nanosecond), cost.traced.Round(100*time.Nanosecond))
	if exported+dropped != sent {
		return fmt.Errorf("%d requests, but %d spans and %d drops", sent, exported, dropped)
	}
	return nil
}

func reasons(page promtext.Page) string {
	var text string
	for _, s := range page {
		if s.Name == "remora_spans_dropped_total" && s.Value > 0 {
			text += fmt.Sprintf(" %s=%.0f", s.Labels["reason"], s.Value)
		}
	}
	return text
}
