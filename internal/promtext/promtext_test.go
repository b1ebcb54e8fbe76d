package promtext

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		line string
		want Series
		ok   bool
	}{
		{"# HELP x y", Series{}, false},
		{"", Series{}, false},
		{"up 1", Series{Name: "up", Labels: map[string]string{}, Value: 1}, true},
		{`a{b="c d",e="\"}"} 1.5e+06`, Series{Name: "a", Labels: map[string]string{"b": "c d", "e": `"}`}, Value: 1.5e6}, true},
	} {
		got, ok, err := parse(c.line)
		if err != nil || ok != c.ok || !cmp.Equal(c.want, got) {
			t.Errorf("%q: got %v %v %v", c.line, got, ok, err)
		}
	}
	for _, line := range []string{"x", "x y", `a{b} 1`, `a{b="c} 1`} {
		if _, _, err := parse(line); err == nil {
			t.Errorf("%q: no error", line)
		}
	}
	page := Page{
		{"drops", map[string]string{"reason": "a"}, 1},
		{"drops", map[string]string{"reason": "b"}, 2},
	}
	if all, b := page.Sum("drops"), page.Sum("drops", "reason=b"); all != 3 || b != 2 {
		t.Errorf("sums %v %v, want 3 2", all, b)
	}
}
