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
		alone:   series{[]float64{10, 50}, 0},
		floor:   series{[]float64{40, 30}, 1},
		bare:    series{[]float64{31}, 0},
		traced:  series{[]float64{32}, 2},
		spanCPU: []float64{5, 6}, resident: []float64{20e6, 20e6}, spans: 100,
	}
	r := b.result()
	if r.Measurements != 1 || r.Disturbed != 3 || r.FloorAddedUS != 20 || r.BareAddedUS != 21 || r.BareFloor != 1.05 || r.AgentAddedUS != 22 || r.TimesFloor != 1.1 {
		t.Errorf("got %+v", r)
	}
	if text := r.markdown(); !strings.Contains(text, "Not valid") {
		t.Errorf("one good measurement is not enough:\n%s", text)
	}
}
