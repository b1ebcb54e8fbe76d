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

const enough = 0.5 // of the turns

// result is what a run found, times in microseconds.
type result struct {
	Kind         string       `json:"kind"`
	Date         string       `json:"date"`
	Machine      string       `json:"machine"`
	Go           string       `json:"go"`
	Turns        int          `json:"turns"`
	Disturbed    int          `json:"disturbed"` // turns left out: a target did not have its CPU for itself
	AloneUS      float64      `json:"alone_us"`
	Probes       int          `json:"floor_probes"`
	FloorAddedUS float64      `json:"floor_added_us"`
	BareAddedUS  float64      `json:"bare_added_us"`
	AgentAddedUS float64      `json:"agent_added_us"`
	BareFloor    float64      `json:"bare_times_floor"`  // what a span that says nothing adds ÷ what the floor adds
	TimesFloor   float64      `json:"times_floor"`       // what the agent adds ÷ what the floor adds
	Rounds       [][3]float64 `json:"rounds"`            // of each: what floor, bare and agent add; the median counts
	SpanCPUUS    float64      `json:"agent_cpu_us_span"` // the agent's own CPU per span, OTLP export included, its start not
	ResidentMB   float64      `json:"agent_resident_mb"` // at the end of a round
	Spans        float64      `json:"spans"`             // of all rounds
	Drops        float64      `json:"drops"`             // of all rounds
}

func (b *bench) result() result {
	var all []turn
	for _, round := range b.rounds {
		all = append(all, slices.Concat(round[:]...)...)
	}
	r := result{
		Kind: b.scenario.name,
		Date: time.Now().UTC().Format(time.DateOnly), Machine: machine(), Go: runtime.Version(),
		Turns: len(all), Disturbed: b.disturbed, Probes: len(b.offsets), AloneUS: median(column(all, alone)),
		SpanCPUUS: median(b.spanCPU), ResidentMB: median(b.resident) / 1e6,
		Spans: b.spans, Drops: b.drops,
	}
	for _, round := range b.rounds {
		if slices.ContainsFunc(round[:], func(turns []turn) bool { return len(turns) == 0 }) {
			continue // not every process was measured
		}
		r.Rounds = append(r.Rounds, [3]float64{added(round, floor), added(round, bare), added(round, traced)})
	}
	for i, to := range []*float64{&r.FloorAddedUS, &r.BareAddedUS, &r.AgentAddedUS} {
		var list []float64
		for _, round := range r.Rounds {
			list = append(list, round[i])
		}
		*to = median(list)
	}
	if r.FloorAddedUS > 0 {
		r.BareFloor = r.BareAddedUS / r.FloorAddedUS
		r.TimesFloor = r.AgentAddedUS / r.FloorAddedUS
	}
	return r
}

// column returns one process's measurements.
func column(turns []turn, i int) []float64 {
	var list []float64
	for _, t := range turns {
		list = append(list, t[i])
	}
	return list
}

// added is what operations take longer with one thing than with nothing, in one round: the mean over all processes, each by the median of its turns.
func added(round [variants][]turn, i int) float64 {
	sum := 0.0
	for _, turns := range round {
		var list []float64
		for _, t := range turns {
			list = append(list, t[i]-t[alone])
		}
		sum += median(list)
	}
	return sum / variants
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
	fmt.Fprintf(&b, "%s: %s, %s, %s, %d turns in %d rounds\n\n", r.Kind, r.Date, r.Machine, r.Go, r.Turns, len(r.Rounds))
	fmt.Fprintf(&b, "| | µs each | added | of each round | × floor |\n|---|--:|--:|--:|--:|\n")
	fmt.Fprintf(&b, "| not instrumented | %.2f | – | | |\n", r.AloneUS)
	row := func(name string, i int, us, times float64) {
		var rounds []string
		for _, round := range r.Rounds {
			rounds = append(rounds, fmt.Sprintf("%.2f", round[i]))
		}
		fmt.Fprintf(&b, "| %s | %.2f | %.2f | %s | %.2f |\n", name, r.AloneUS+us, us, strings.Join(rounds, " "), times)
	}
	row(fmt.Sprintf("floor: %d probes that do nothing", r.Probes), 0, r.FloorAddedUS, 1)
	row("the least of a span: times, IDs, nothing read", 1, r.BareAddedUS, r.BareFloor)
	row("remora", 2, r.AgentAddedUS, r.TimesFloor)
	fmt.Fprintf(&b, "\nThe agent itself: %.1f µs of CPU per span including OTLP, %.0f MB resident; %.0f spans, %.0f drops.\n\n", r.SpanCPUUS, r.ResidentMB, r.Spans, r.Drops)
	if float64(r.Turns) < enough*float64(r.Turns+r.Disturbed) || len(r.Rounds) == 0 {
		fmt.Fprintf(&b, "**Not valid**: in too many turns (%d) something else ran on the targets' CPU, or the load did not saturate it.\n\n", r.Disturbed)
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
