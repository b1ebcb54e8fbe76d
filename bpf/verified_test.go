package bpf

import "testing"

func TestVerified(t *testing.T) {
	for log, want := range map[string]int{
		"": 0,
		"processed 22 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 1\n": 22,
		"verification time 93 usec\nstack depth 16+0\nprocessed 1234 insns (limit 1000000)":                   1234,
		"R1 type=inv expected=fp\n": 0,
	} {
		if got := verified(log); got != want {
			t.Errorf("got %d of %q, want %d", got, log, want)
		}
	}
}
