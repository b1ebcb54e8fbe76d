package bpf

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Capability is one of the privileges of capabilities(7), by its number.
type Capability uint

// The capabilities that make a difference to tracing.
const (
	CapDACReadSearch Capability = unix.CAP_DAC_READ_SEARCH // read programs that others may not
	CapSysPtrace     Capability = unix.CAP_SYS_PTRACE      // read exe and environ of others' processes
	CapSysAdmin      Capability = unix.CAP_SYS_ADMIN       // all BPF, and writing to users' memory
	CapSysResource   Capability = unix.CAP_SYS_RESOURCE    // lift the memlock limit, before Linux 5.11
	CapPerfmon       Capability = unix.CAP_PERFMON         // attach uprobes, from Linux 5.8
	CapBPF           Capability = unix.CAP_BPF             // load BPF programs, from Linux 5.8
)

// RelevantCapabilities returns the capabilities that make a difference to tracing.
func RelevantCapabilities() []Capability {
	return []Capability{CapBPF, CapPerfmon, CapSysPtrace, CapSysAdmin, CapSysResource, CapDACReadSearch}
}

func (c Capability) String() string {
	switch c {
	case CapDACReadSearch:
		return "CAP_DAC_READ_SEARCH"
	case CapSysPtrace:
		return "CAP_SYS_PTRACE"
	case CapSysAdmin:
		return "CAP_SYS_ADMIN"
	case CapSysResource:
		return "CAP_SYS_RESOURCE"
	case CapPerfmon:
		return "CAP_PERFMON"
	case CapBPF:
		return "CAP_BPF"
	}
	return fmt.Sprintf("capability %d", uint(c))
}

// Capabilities is a set of capabilities, bit N standing for number N.
type Capabilities uint64

// Has reports whether c is in the set.
func (s Capabilities) Has(c Capability) bool { return s&(1<<c) != 0 }

// grants reports whether the set gives the right that c stands for. CAP_SYS_ADMIN
// includes the two that were split off it in Linux 5.8.
// https://github.com/torvalds/linux/blob/v6.18/include/linux/capability.h
func (s Capabilities) grants(c Capability) bool {
	return s.Has(c) || (c == CapBPF || c == CapPerfmon) && s.Has(CapSysAdmin)
}

// status is what is used of /proc/self/status.
type status struct {
	capabilities Capabilities // the effective ones
	seccomp      bool         // a seccomp filter decides which system calls are allowed
}

// parseStatus reads the lines CapEff and Seccomp of proc_pid_status(5); absent ones
// leave their zero values.
func parseStatus(text string) status {
	var s status
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch name {
		case "CapEff":
			bits, _ := strconv.ParseUint(value, 16, 64)
			s.capabilities = Capabilities(bits)
		case "Seccomp":
			s.seccomp = value == "2" // SECCOMP_MODE_FILTER
		}
	}
	return s
}
