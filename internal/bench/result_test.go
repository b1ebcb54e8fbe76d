package main

import (
	"slices"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		list []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(c.list); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.list, got, c.want)
		}
	}
}

func TestResult(t *testing.T) {
	all := func(turns ...turn) [variants][]turn { return [variants][]turn{turns, turns, turns, turns} }
	first := all(turn{10, 30, 31, 32}, turn{50, 70, 70.5, 74})
	first[2] = []turn{{10, 34, 31, 32}} // another process
	b := bench{
		rounds:    [][variants][]turn{first, all(turn{10, 30, 32, 35}), all(turn{10, 33, 31, 33}), {}},
		disturbed: 16, spanCPU: []float64{5, 6}, resident: []float64{20e6, 20e6}, spans: 100,
	}
	r := b.result()
	if want := [][3]float64{{21, 20.8125, 22.75}, {20, 22, 25}, {23, 21, 23}}; !slices.Equal(r.Rounds, want) {
		t.Errorf("rounds %v, want %v", r.Rounds, want)
	}
	if r.Turns != 15 || r.Disturbed != 16 || r.AloneUS != 10 || r.FloorAddedUS != 21 || r.BareAddedUS != 21 || r.BareFloor != 1 || r.AgentAddedUS != 23 {
		t.Errorf("got %+v", r)
	}
	if text := r.markdown(); !strings.Contains(text, "Not valid") {
		t.Errorf("more turns are left out than taken:\n%s", text)
	}
}
