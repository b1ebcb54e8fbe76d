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
	b := bench{
		rounds:    [][]turn{{{10, 30, 31, 32}, {50, 70, 70.5, 74}}, {{10, 30, 32, 33}}},
		disturbed: 3, spanCPU: []float64{5, 6}, resident: []float64{20e6, 20e6}, spans: 100,
	}
	r := b.result()
	if r.Turns != 3 || r.Disturbed != 3 || r.FloorAddedUS != 20 || r.BareAddedUS != 21 || r.BareFloor != 1.05 || r.AgentAddedUS != 23 || r.TimesFloor != 1.15 {
		t.Errorf("got %+v", r)
	}
	if want := [][3]float64{{20, 20.75, 23}, {20, 22, 23}}; !slices.Equal(r.Rounds, want) {
		t.Errorf("rounds %v, want %v", r.Rounds, want)
	}
	if text := r.markdown(); !strings.Contains(text, "Not valid") {
		t.Errorf("three turns are not enough:\n%s", text)
	}
}
