package vm

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChoose(t *testing.T) {
	names := []string{
		"linux-image-6.1-cloud-amd64", "linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-47-cloud-amd64", "linux-image-6.1.0-50-amd64",
		"linux-image-6.1.0-47-cloud-arm64", "linux-image-6.12.94+deb13-cloud-amd64", "linux-image-6.12.107+deb13-cloud-amd64",
		"linux-image-7.0.13+deb13-cloud-amd64", "linux-binary-7.0.13+deb13-cloud-amd64", "linux-binary-unsigned-7.0.14+deb13-cloud-amd64",
		"linux-image-7.2.12+deb13-cloud-amd64", "linux-binary-7.2.12+deb13-cloud-amd64", "linux-modules-7.2.12+deb13-cloud-amd64",
		"linux-modules-7.2.13+deb13-cloud-amd64", "linux-headers-7.2.13+deb13-cloud-amd64",
	}
	for series, want := range map[string][]string{
		"6.1":  {"linux-image-6.1.0-47-cloud-amd64"},
		"6.12": {"linux-image-6.12.107+deb13-cloud-amd64"},
		"7.0":  {"linux-binary-7.0.13+deb13-cloud-amd64"},
		"7.2":  {"linux-binary-7.2.12+deb13-cloud-amd64", "linux-modules-7.2.12+deb13-cloud-amd64"},
		"5.15": nil,
	} {
		if diff := cmp.Diff(want, Kernel{Series: series, Arch: "amd64"}.choose(names)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", series, diff)
		}
	}
}
