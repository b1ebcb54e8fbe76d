package bpf

import (
	"path/filepath"
	"testing"
)

func TestParseLockdown(t *testing.T) {
	tests := map[string]Lockdown{
		"[none] integrity confidentiality\n": LockdownNone,
		"none [integrity] confidentiality\n": LockdownIntegrity,
		"none integrity [confidentiality]\n": LockdownConfidentiality,
		"none integrity confidentiality\n":   LockdownUnknown,
		"[other]":                            LockdownUnknown,
		"[integrity":                         LockdownIntegrity,
		"":                                   LockdownUnknown,
	}
	for text, want := range tests {
		if got := parseLockdown(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
	if got := readLockdown(filepath.Join(t.TempDir(), "lockdown")); got != LockdownUnknown {
		t.Errorf("not mounted: got %s", got)
	}
}
