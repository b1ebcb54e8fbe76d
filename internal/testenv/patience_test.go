package testenv

import (
	"testing"
	"time"
)

func TestPatient(t *testing.T) {
	for factor, want := range map[string]time.Duration{"": time.Second, "1": time.Second, "6": 6 * time.Second, "-2": time.Second, "x": time.Second} {
		t.Setenv(PatienceVariable, factor)
		if got := Patient(time.Second); got != want {
			t.Errorf("factor %q: a second is %v, want %v", factor, got, want)
		}
	}
}
