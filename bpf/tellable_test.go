package bpf

import "testing"

func TestTellable(t *testing.T) {
	for _, tt := range []struct {
		offsets []uint64
		ok      bool
	}{
		{nil, true},
		{[]uint64{0x1008, 0x2010, 0x3011}, true},
		{[]uint64{0x1008, 0x1008}, true},
		{[]uint64{0x1008, 0x2010, 0x5008}, false},
	} {
		if err := tellable(tt.offsets); (err == nil) != tt.ok {
			t.Errorf("%#x: %v", tt.offsets, err)
		}
	}
}
