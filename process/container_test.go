package process

import (
	"strings"
	"testing"
)

func TestContainerID(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	other := strings.Repeat("f", 64)
	tests := map[string]struct{ cgroup, want string }{
		"none":                 {"0::/user.slice/user-1000.slice/session-2.scope\n", ""},
		"empty":                {"", ""},
		"no path":              {"garbage\n1:cpu\n", ""},
		"root":                 {"0::/\n", ""},
		"docker v1":            {"12:cpu,cpuacct:/docker/" + id + "\n0::/docker/" + id + "\n", id},
		"docker v1, systemd":   {"3:name=systemd:/system.slice/docker-" + id + ".scope\n", id},
		"second line":          {"3:cpu:/\n2:pids:/docker/" + id + "\n", id},
		"docker v2":            {"0::/system.slice/docker-" + id + ".scope\n", id},
		"kubernetes, cgroupfs": {"0::/kubepods/burstable/pod0a6c8d2e-1111-2222-3333-444455556666/" + id + "\n", id},
		"containerd":           {"0::/kubepods.slice/kubepods-pod0a6c8d2e_1111.slice/cri-containerd-" + id + ".scope\n", id},
		"containerd, own driver": {
			"1:cpu:/system.slice/containerd.service/kubepods-burstable-pod0a.slice:cri-containerd:" + id + "\n", id},
		"cri-o":             {"0::/kubepods.slice/kubepods-pod1.slice/crio-" + id + ".scope\n", id},
		"cri-o's conmon":    {"0::/kubepods.slice/kubepods-pod1.slice/crio-conmon-" + id + ".scope\n", ""},
		"podman":            {"0::/machine.slice/libpod-" + id + ".scope/container\n", id},
		"podman's conmon":   {"0::/machine.slice/libpod-conmon-" + id + ".scope\n", ""},
		"service in it":     {"0::/docker/" + id + "/system.slice/app.service\n", id},
		"nested":            {"0::/docker/" + other + "/docker/" + id + "\n", id},
		"other namespace":   {"0::/../../docker-" + id + ".scope\n", id},
		"63 digits":         {"0::/docker/" + id[1:] + "\n", ""},
		"65 digits":         {"0::/docker/a" + id + "\n", ""},
		"upper case":        {"0::/docker/" + strings.ToUpper(id) + "\n", ""},
		"colon in the path": {"0::/a:b/docker-" + id + ".scope\n", id},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := containerID(tt.cgroup); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
