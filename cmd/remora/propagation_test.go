package main

import (
	"testing"

	"go.uber.org/zap"
)

func TestPropagation(t *testing.T) {
	tests := []struct {
		remora, otel string
		want, fails  bool
	}{
		{"", "", true, false},
		{"none", "tracecontext", false, false},
		{"tracecontext", "none", true, false},
		{"yes", "", false, true},
		{"", "tracecontext,baggage", true, false},
		{"", "b3, tracecontext", true, false},
		{"", "none", false, false},
		{"", "b3", false, false},
	}
	for _, tt := range tests {
		env := map[string]string{"REMORA_PROPAGATION": tt.remora, "OTEL_PROPAGATORS": tt.otel}
		got, err := propagation(func(name string) string { return env[name] }, zap.NewNop())
		if got != tt.want || (err != nil) != tt.fails {
			t.Errorf("%+v: %t, %v", tt, got, err)
		}
	}
}

func TestOperations(t *testing.T) {
	for text, want := range map[string]int{"": 4096, "64": 64, "20000": 20000, "63": 0, "-1": 0, "many": 0, "99999999": 0} {
		got, err := operations(func(string) string { return text })
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}
