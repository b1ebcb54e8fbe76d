package main

import (
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
		options: options{rounds: 2},
		alone:   series{[]float64{10, 50}, []float64{0.99, 0.5}},
		floor:   series{[]float64{30, 40}, []float64{1, 1}},
		traced:  series{[]float64{32, 90}, []float64{1, 1}},
		spanCPU: []float64{5, 6}, resident: []float64{20e6, 20e6}, spans: 100,
	}
	r := b.result()
	if r.Rounds != 1 || r.Disturbed != 1 || r.FloorAddedUS != 20 || r.AgentAddedUS != 22 || r.TimesFloor != 1.1 {
		t.Errorf("got %+v", r)
	}
	if text := r.markdown(); !strings.Contains(text, "Not valid") {
		t.Errorf("one good round is not enough:\n%s", text)
	}
}
