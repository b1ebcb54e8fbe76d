package bpf

import (
	"os"
	"strings"
)

// Lockdown is how much of the kernel is closed to root (kernel_lockdown(7)); Secure
// Boot usually sets integrity.
type Lockdown string

// The states of lockdown. Integrity and more refuse bpf_probe_write_user.
const (
	LockdownNone            Lockdown = "none"
	LockdownIntegrity       Lockdown = "integrity"
	LockdownConfidentiality Lockdown = "confidentiality"
	LockdownUnknown         Lockdown = "unknown" // securityfs is not mounted or not readable
)

// readLockdown reads securityfs's file for it.
func readLockdown(path string) Lockdown {
	data, err := os.ReadFile(path)
	if err != nil {
		return LockdownUnknown
	}
	return parseLockdown(string(data))
}

// parseLockdown finds the state in brackets: "none [integrity] confidentiality".
func parseLockdown(text string) Lockdown {
	_, text, _ = strings.Cut(text, "[")
	state, _, _ := strings.Cut(text, "]")
	switch l := Lockdown(state); l {
	case LockdownNone, LockdownIntegrity, LockdownConfidentiality:
		return l
	}
	return LockdownUnknown
}
