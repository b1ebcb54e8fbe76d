package bpf_test

import (
	"testing"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/testenv"
)

// TestResume: what was drained for one probe that could not be attached is steered for the others again.
func TestResume(t *testing.T) {
	testenv.RequireRoot(t)
	r, err := bpf.Open(bpf.Options{RingBytes: 1 << 16, InFlight: 64, Inject: true, Steer: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Drain(1, 2); err != nil {
		t.Fatal(err)
	}
	if err := r.Resume(1); err != nil {
		t.Fatal(err)
	}
	if r.IsDraining(1) || !r.IsDraining(2) {
		t.Errorf("draining: 1 %v, 2 %v; want only 2", r.IsDraining(1), r.IsDraining(2))
	}
}
