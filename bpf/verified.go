package bpf

import (
	"fmt"
	"strings"
)

// Verified returns how many instructions the verifier looked at to accept each program; more than a million it refuses.
// It needs Options.Verified.
func (p *Programs) Verified() map[string]int {
	counts := map[string]int{}
	for name, program := range p.coll.Programs {
		counts[name] = verified(program.VerifierLog)
	}
	return counts
}

// verified reads the verifier's statistics, 0 if the log has none:
// https://github.com/torvalds/linux/blob/v5.10/kernel/bpf/verifier.c print_verification_stats
func verified(log string) int {
	n := 0
	for line := range strings.Lines(log) {
		fmt.Sscanf(line, "processed %d insns", &n)
	}
	return n
}
