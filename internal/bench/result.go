package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// result is what a run found: medians, times in microseconds.
type result struct {
	Kind         string  `json:"kind"`
	Date         string  `json:"date"`
	Machine      string  `json:"machine"`
	Go           string  `json:"go"`
	Rounds       int     `json:"rounds"`
	Disturbed    int     `json:"disturbed_rounds"` // left out: the target did not have its CPU for itself
	AloneUS      float64 `json:"alone_us"`
	FloorUS      float64 `json:"floor_us"`
	Probes       int     `json:"floor_probes"`
	AgentUS      float64 `json:"agent_us"`
	FloorAddedUS float64 `json:"floor_added_us"`
	AgentAddedUS float64 `json:"agent_added_us"`
	TimesFloor   float64 `json:"times_floor"`       // what the agent adds ÷ what the floor adds
	SpanCPUUS    float64 `json:"agent_cpu_us_span"` // the agent's own CPU per span, OTLP export included, its start not
	ResidentMB   float64 `json:"agent_resident_mb"` // at the end of a measurement
	Spans        float64 `json:"spans"`             // of all rounds
	Drops        float64 `json:"drops"`             // of all rounds
}

func (b *bench) result() result {
	alone, floor, traced := b.undisturbed()
	r := result{
		Kind: b.scenario.name,
		Date: time.Now().UTC().Format(time.DateOnly), Machine: machine(), Go: runtime.Version(), Rounds: len(alone), Disturbed: b.rounds - len(alone),
		AloneUS: median(alone), FloorUS: median(floor), Probes: len(b.offsets), AgentUS: median(traced),
		SpanCPUUS: median(b.spanCPU), ResidentMB: median(b.resident) / 1e6,
		Spans: b.spans, Drops: b.drops,
	}
	// Differences within a round: the speed of a virtual machine drifts from round to round by more than two traps.
	r.FloorAddedUS, r.AgentAddedUS = median(differences(floor, alone)), median(differences(traced, alone))
	if r.FloorAddedUS > 0 {
		r.TimesFloor = r.AgentAddedUS / r.FloorAddedUS
	}
	return r
}

// undisturbed returns the measurements of the rounds in which the target had its CPU for itself in all three.
func (b *bench) undisturbed() (alone, floor, traced []float64) {
	for i := range b.rounds {
		if min(b.alone.busy[i], b.floor.busy[i], b.traced.busy[i]) >= saturated {
			alone = append(alone, b.alone.perRequest[i])
			floor = append(floor, b.floor.perRequest[i])
			traced = append(traced, b.traced.perRequest[i])
		}
	}
	return alone, floor, traced
}

func differences(a, b []float64) []float64 {
	d := make([]float64, len(a))
	for i := range a {
		d[i] = a[i] - b[i]
	}
	return d
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// machine names kernel and processor.
func machine() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return runtime.GOARCH
	}
	model := runtime.GOARCH
	info, _ := os.ReadFile("/proc/cpuinfo") // without it the architecture must do
	for _, line := range strings.Split(string(info), "\n") {
		if name, ok := strings.CutPrefix(line, "model name\t: "); ok {
			model = name
			break
		}
	}
	return fmt.Sprintf("Linux %s, %s, %d CPUs", unix.ByteSliceToString(u.Release[:]), model, runtime.NumCPU())
}

func (r result) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %s, %s, medians of %d\n\n", r.Kind, r.Date, r.Machine, r.Go, r.Rounds)
	fmt.Fprintf(&b, "| | µs each | added | × floor |\n|---|---|---|---|\n")
	fmt.Fprintf(&b, "| not instrumented | %.1f | – | |\n", r.AloneUS)
	fmt.Fprintf(&b, "| floor: %d probes that do nothing | %.1f | %.1f | 1.00 |\n", r.Probes, r.FloorUS, r.FloorAddedUS)
	fmt.Fprintf(&b, "| remora | %.1f | %.1f | **%.2f** |\n\n", r.AgentUS, r.AgentAddedUS, r.TimesFloor)
	fmt.Fprintf(&b, "The agent itself: %.1f µs of CPU per span including OTLP, %.0f MB resident; %.0f spans, %.0f drops.\n", r.SpanCPUUS, r.ResidentMB, r.Spans, r.Drops)
	if r.Rounds < 3 {
		fmt.Fprintf(&b, "\n**Not valid**: in %d of %d rounds something else ran on the target's CPU, or the load did not saturate it.\n", r.Disturbed, r.Rounds+r.Disturbed)
	}
	return b.String()
}

func write(path string, results []result) error {
	data, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
