package bpf

import "testing"

func TestParseStatus(t *testing.T) {
	tests := map[string]struct {
		text string
		want status
	}{
		"root":      {"CapPrm:\tffffffffffffffff\nCapEff:\t000001fffeffffff\nSeccomp:\t0\n", status{0x1fffeffffff, false}},
		"container": {"CapEff:\t00000000a80425fb\nCapBnd:\t0\nSeccomp:\t2\nSeccomp_filters:\t1\n", status{0xa80425fb, true}},
		"strict":    {"Seccomp:\t1\n", status{}},
		"empty":     {"", status{}},
		"garbage":   {"CapEff:\nCapEff:zz\n:::\nSeccomp", status{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := parseStatus(tt.text); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestCapabilities(t *testing.T) {
	admin := Capabilities(1 << CapSysAdmin)
	for _, c := range RelevantCapabilities() {
		wantGrant := c == CapSysAdmin || c == CapBPF || c == CapPerfmon
		if admin.Has(c) != (c == CapSysAdmin) || admin.grants(c) != wantGrant {
			t.Errorf("CAP_SYS_ADMIN: Has(%v) = %v, grants = %v", c, admin.Has(c), admin.grants(c))
		}
	}
	if got := Capability(3).String(); got != "capability 3" {
		t.Errorf("got %q", got)
	}
}
