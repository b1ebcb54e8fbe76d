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

const enough = 10 // measurements of each kind

// result is what a run found, times in microseconds.
type result struct {
	Kind         string  `json:"kind"`
	Date         string  `json:"date"`
	Machine      string  `json:"machine"`
	Go           string  `json:"go"`
	Measurements int     `json:"measurements"` // of the kind that has fewest
	Disturbed    int     `json:"disturbed"`    // left out, of all kinds: the target did not have its CPU for itself
	AloneUS      float64 `json:"alone_us"`
	FloorUS      float64 `json:"floor_us"`
	Probes       int     `json:"floor_probes"`
	BareUS       float64 `json:"bare_us"`
	AgentUS      float64 `json:"agent_us"`
	FloorAddedUS float64 `json:"floor_added_us"`
	BareAddedUS  float64 `json:"bare_added_us"`
	AgentAddedUS float64 `json:"agent_added_us"`
	BareFloor    float64 `json:"bare_times_floor"`  // what a span that says nothing adds ÷ what the floor adds
	TimesFloor   float64 `json:"times_floor"`       // what the agent adds ÷ what the floor adds
	SpanCPUUS    float64 `json:"agent_cpu_us_span"` // the agent's own CPU per span, OTLP export included, its start not
	ResidentMB   float64 `json:"agent_resident_mb"` // at the end of a measurement
	Spans        float64 `json:"spans"`             // of all rounds
	Drops        float64 `json:"drops"`             // of all rounds
}

func (b *bench) result() result {
	r := result{
		Kind: b.scenario.name,
		Date: time.Now().UTC().Format(time.DateOnly), Machine: machine(), Go: runtime.Version(),
		Measurements: min(len(b.alone.perRequest), len(b.floor.perRequest), len(b.bare.perRequest), len(b.traced.perRequest)),
		Disturbed:    b.alone.disturbed + b.floor.disturbed + b.bare.disturbed + b.traced.disturbed,
		AloneUS:      b.alone.fastest(), FloorUS: b.floor.fastest(), Probes: len(b.offsets), BareUS: b.bare.fastest(), AgentUS: b.traced.fastest(),
		SpanCPUUS: median(b.spanCPU), ResidentMB: median(b.resident) / 1e6,
		Spans: b.spans, Drops: b.drops,
	}
	r.FloorAddedUS, r.BareAddedUS, r.AgentAddedUS = r.FloorUS-r.AloneUS, r.BareUS-r.AloneUS, r.AgentUS-r.AloneUS
	if r.FloorAddedUS > 0 {
		r.BareFloor = r.BareAddedUS / r.FloorAddedUS
		r.TimesFloor = r.AgentAddedUS / r.FloorAddedUS
	}
	return r
}

// fastest returns 0 if there is no measurement.
func (s series) fastest() float64 {
	if len(s.perRequest) == 0 {
		return 0
	}
	return slices.Min(s.perRequest)
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
	fmt.Fprintf(&b, "%s: %s, %s, %s, the fastest of %d\n\n", r.Kind, r.Date, r.Machine, r.Go, r.Measurements)
	fmt.Fprintf(&b, "| | µs each | added | × floor |\n|---|---|---|---|\n")
	fmt.Fprintf(&b, "| not instrumented | %.1f | – | |\n", r.AloneUS)
	fmt.Fprintf(&b, "| floor: %d probes that do nothing | %.1f | %.1f | 1.00 |\n", r.Probes, r.FloorUS, r.FloorAddedUS)
	fmt.Fprintf(&b, "| the least of a span: times, IDs, nothing read | %.1f | %.1f | %.2f |\n", r.BareUS, r.BareAddedUS, r.BareFloor)
	fmt.Fprintf(&b, "| remora | %.1f | %.1f | **%.2f** |\n\n", r.AgentUS, r.AgentAddedUS, r.TimesFloor)
	fmt.Fprintf(&b, "The agent itself: %.1f µs of CPU per span including OTLP, %.0f MB resident; %.0f spans, %.0f drops.\n", r.SpanCPUUS, r.ResidentMB, r.Spans, r.Drops)
	if r.Measurements < enough {
		fmt.Fprintf(&b, "\n**Not valid**: too often (%d times) something else ran on the target's CPU, or the load did not saturate it.\n", r.Disturbed)
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
