package bpf

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMechanisms(t *testing.T) {
	noSteer, noWrite := errors.New("old kernel"), errors.New("locked down")
	for _, tt := range []struct {
		wanted       string
		steer, write error
		want         Mechanisms
		cannot       []error
	}{
		{"", nil, nil, Mechanisms{true, true}, nil},
		{"auto", nil, noWrite, Mechanisms{Steer: true}, nil},
		{"auto", noSteer, nil, Mechanisms{Write: true}, nil},
		{"auto", noSteer, noWrite, Mechanisms{}, []error{noSteer, noWrite}},
		{"steer", nil, nil, Mechanisms{Steer: true}, nil},
		{"steer", noSteer, nil, Mechanisms{}, []error{noSteer}},
		{"write", nil, nil, Mechanisms{Write: true}, nil},
		{"write", nil, noWrite, Mechanisms{}, []error{noWrite}},
		{"none", nil, nil, Mechanisms{}, nil},
	} {
		k := Kernel{registerWrites: func() error { return tt.steer }, userWrites: func() error { return tt.write }}
		got, cannot, err := k.Mechanisms(tt.wanted)
		if err != nil {
			t.Errorf("%q: %v", tt.wanted, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt, diff)
		}
		if (cannot != nil) != (tt.cannot != nil) {
			t.Errorf("%+v: cannot: %v", tt, cannot)
		}
		for _, reason := range tt.cannot {
			if !errors.Is(cannot, reason) {
				t.Errorf("%+v: %v does not say %v", tt, cannot, reason)
			}
		}
	}
	if _, _, err := (Kernel{}).Mechanisms("both"); err == nil {
		t.Error("an unknown mechanism is accepted")
	}
}
