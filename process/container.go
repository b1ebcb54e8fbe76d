package process

import (
	"regexp"
	"strings"
)

// containerSegment is a cgroup's name as the container runtimes choose it: the
// container's 64 hexadecimal digits, bare or after the runtime's prefix, which ends in
// "-" under systemd and in ":" with containerd's own driver.
//
//	/docker/<id>                                            Docker, cgroupfs driver
//	/system.slice/docker-<id>.scope                         Docker, systemd driver
//	/kubepods/burstable/pod<uid>/<id>                       Kubernetes, cgroupfs driver
//	/kubepods.slice/…/cri-containerd-<id>.scope             containerd, systemd driver
//	/system.slice/containerd.service/…:cri-containerd:<id>  containerd
//	/kubepods.slice/…/crio-<id>.scope                       CRI-O
//	/machine.slice/libpod-<id>.scope/container              Podman
var containerSegment = regexp.MustCompile(`^(?:.*[-:])?([0-9a-f]{64})(?:\.scope)?$`)

// containerID returns the container that a process with this /proc/PID/cgroup is in,
// "" if in none. The innermost counts when containers are nested.
//
// A line is "hierarchy:controllers:path"; version 2 has the single line "0::path"
// (cgroups(7)).
func containerID(cgroup string) string {
	for line := range strings.Lines(cgroup) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		segments := strings.Split(parts[2], "/")
		for i := len(segments) - 1; i >= 0; i-- {
			// conmon is the runtime's own supervisor beside the container.
			if strings.Contains(segments[i], "conmon-") {
				break
			}
			if m := containerSegment.FindStringSubmatch(segments[i]); m != nil {
				return m[1]
			}
		}
	}
	return ""
}
