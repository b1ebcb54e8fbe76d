package bpf

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// since is the first kernel with a feature, as LINUX_VERSION_CODE counts.
func since(major, minor uint32) uint32 { return major<<16 | minor<<8 }

// TestKernel compares what trials find with what this kernel's release is known to have.
func TestKernel(t *testing.T) {
	k := Probe()
	if !k.Capabilities().Has(CapSysAdmin) || !k.HostUserNamespace() || k.Seccomp() {
		t.Skip("needs root outside of containers: go test -exec sudo")
	}
	version, err := features.LinuxVersionCode()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		err  error
		want bool
	}{
		{"BPF", k.BPF(), true},
		{"Uprobes", k.Uprobes(), true},
		{"RingBuffer", k.RingBuffer(), version >= since(5, 8)},
		{"AttachCookie", k.AttachCookie(), version >= since(5, 15)},
		{"BPFLoop", k.BPFLoop(), version >= since(5, 17)},
		{"RegisterWrites", k.RegisterWrites(), version >= since(6, 19)},
		{"OtherProcesses", k.OtherProcesses(), true},
		{"Environments", k.Environments(), true},
	}
	if version < since(6, 6) || version >= since(6, 10) { // between them it depends on the patch
		tests = append(tests, struct {
			name string
			err  error
			want bool
		}{"UprobeMulti", k.UprobeMulti(), version >= since(6, 10)})
	}
	for _, tt := range tests {
		if (tt.err == nil) != tt.want {
			t.Errorf("%s: got error %v, want one: %v", tt.name, tt.err, !tt.want)
		}
		checkUnavailable(t, tt.name, tt.err)
	}
	if lockdown := k.Lockdown(); lockdown != LockdownUnknown {
		if err := k.UserWrites(); (err == nil) != (lockdown == LockdownNone) {
			t.Errorf("UserWrites: got error %v under lockdown=%s", err, lockdown)
		}
	}
	checkUnavailable(t, "UserWrites", k.UserWrites())
	if k.Release() == "" {
		t.Error("no release")
	}
}

// checkUnavailable checks that an error says what to do about it.
func checkUnavailable(t *testing.T, name string, err error) {
	t.Helper()
	var u *Unavailable
	if err != nil && (!errors.As(err, &u) || u.Operation == "" || u.Remedy == "") {
		t.Errorf("%s: error without operation or remedy: %v", name, err)
	}
}

func TestTrialsLeaveNothing(t *testing.T) {
	ask := func() {
		k := Probe()
		for _, try := range []func() error{k.UserWrites, k.RegisterWrites, k.UprobeMulti, k.AttachCookie,
			k.Uprobes, k.RingBuffer, k.BPFLoop, k.BPF} {
			_ = try() // what they find does not matter here
		}
	}
	open := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	ask() // the runtime's poller and cilium/ebpf's caches open theirs
	before := open()
	ask()
	if after := open(); after != before {
		t.Errorf("%d file descriptors before, %d after", before, after)
	}
}

// The tests below run in a child of another user, who has these capabilities.
const privilegesVariable = "REMORA_TEST_PRIVILEGES"

// asOtherUser runs the named test in a child that is nobody with some capabilities.
func asOtherUser(t *testing.T, test, privileges string, capabilities ...Capability) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to become somebody else: go test -exec sudo")
	}
	// Not by its path: the directories of go test are closed to others.
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+test+"$", "-test.v")
	cmd.Dir = "/"
	cmd.Env = []string{privilegesVariable + "=" + privileges}
	const nobody = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	for _, c := range capabilities {
		cmd.SysProcAttr.AmbientCaps = append(cmd.SysProcAttr.AmbientCaps, uintptr(c))
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("with %s: %v\n%s", privileges, err, out)
	}
}

func TestKernelUnprivileged(t *testing.T) {
	switch os.Getenv(privilegesVariable) {
	case "":
		asOtherUser(t, t.Name(), "none")
		asOtherUser(t, t.Name(), "BPF and perfmon", CapBPF, CapPerfmon)
		asOtherUser(t, t.Name(), "ptrace", CapSysPtrace)
		asOtherUser(t, t.Name(), "ptrace and read", CapSysPtrace, CapDACReadSearch)
	default:
		t.Fatal("no such privileges")
	case "none":
		const cannotLoad = "cannot load BPF programs: operation not permitted " +
			"(run as root or grant CAP_BPF and CAP_PERFMON, before Linux 5.8 CAP_SYS_ADMIN)"
		k := Probe()
		if k.Capabilities() != 0 {
			t.Errorf("capabilities %#x, want none", k.Capabilities())
		}
		for name, try := range map[string]func() error{
			"BPF": k.BPF, "Uprobes": k.Uprobes, "UprobeMulti": k.UprobeMulti, "AttachCookie": k.AttachCookie,
			"RingBuffer": k.RingBuffer, "BPFLoop": k.BPFLoop, "UserWrites": k.UserWrites, "RegisterWrites": k.RegisterWrites,
		} {
			if err := try(); err == nil || err.Error() != cannotLoad {
				t.Errorf("%s: got error %v, want %s", name, err, cannotLoad)
			}
		}
		const cannotSee = "cannot see the programs of other users' processes: permission denied " +
			"(run as root or grant CAP_SYS_PTRACE)"
		if err := k.OtherProcesses(); err == nil || err.Error() != cannotSee {
			t.Errorf("OtherProcesses: got error %v, want %s", err, cannotSee)
		}
		const cannotRead = "cannot read the environment of other users' processes: permission denied " +
			"(run as root or grant CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH)"
		if err := k.Environments(); err == nil || err.Error() != cannotRead {
			t.Errorf("Environments: got error %v, want %s", err, cannotRead)
		}
	case "ptrace":
		const cannotRead = "cannot read the environment of other users' processes: permission denied " +
			"(run as root or grant CAP_DAC_READ_SEARCH)"
		k := Probe()
		if err := k.Environments(); err == nil || err.Error() != cannotRead {
			t.Errorf("Environments: got error %v, want %s", err, cannotRead)
		}
		if err := k.OtherProcesses(); err != nil {
			t.Error(err)
		}
	case "ptrace and read":
		if err := Probe().Environments(); err != nil {
			t.Error(err)
		}
	case "BPF and perfmon":
		k := Probe()
		if err := errors.Join(k.BPF(), k.RingBuffer()); err != nil {
			t.Error(err)
		}
		const cannotPerf = "cannot attach uprobes by perf events: permission denied " +
			"(run as root or grant CAP_SYS_ADMIN; from Linux 6.10 uprobe_multi does without it)"
		if err := k.Uprobes(); err == nil || err.Error() != cannotPerf {
			t.Errorf("Uprobes: got error %v, want %s", err, cannotPerf)
		}
		if (k.AttachCookie() == nil) != (k.UprobeMulti() == nil) {
			t.Errorf("cookies by uprobe_multi: %v, uprobe_multi: %v", k.AttachCookie(), k.UprobeMulti())
		}
		if k.UserWrites() == nil || k.OtherProcesses() == nil {
			t.Error("user writes and other processes want CAP_SYS_ADMIN and CAP_SYS_PTRACE")
		}
	}
}

// A user namespace gives all capabilities, but none that counts.
func TestKernelInUserNamespace(t *testing.T) {
	const want = "cannot load BPF programs: operation not permitted (run outside of user namespaces " +
		"such as rootless containers: their capabilities do not count for BPF)"
	if os.Getenv(privilegesVariable) == "user namespace" {
		if err := Probe().BPF(); err == nil || err.Error() != want {
			t.Errorf("got error %v, want %s", err, want)
		}
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = []string{privilegesVariable + "=user namespace"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, os.ErrPermission) {
		t.Skip("this machine lets nobody make user namespaces")
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAttempt(t *testing.T) {
	all := Capabilities(1<<CapBPF | 1<<CapPerfmon)
	const missing, grant = "use Linux 9.9 or newer", "grant CAP_BPF and CAP_PERFMON"
	tests := map[string]struct {
		status  status
		err     error
		memlock error
		want    string
	}{
		"no capability":  {status{}, unix.EPERM, nil, grant},
		"one capability": {status{capabilities: 1 << CapBPF}, unix.EACCES, nil, grant},
		"memlock": {status{capabilities: all}, unix.EPERM, unix.EPERM,
			"raise the limit on locked memory (ulimit -l unlimited) or grant CAP_SYS_RESOURCE"},
		"seccomp": {status{capabilities: all, seccomp: true}, unix.EPERM, nil,
			"allow the system calls bpf and perf_event_open in the seccomp profile"},
		"something else": {status{capabilities: 1 << CapSysAdmin}, unix.EPERM, nil,
			"look in the kernel's log for a refusal by a security module (SELinux, AppArmor, lockdown)"},
		"old kernel":       {status{}, unix.EINVAL, nil, missing},
		"verifier":         {status{}, &ebpf.VerifierError{Cause: unix.EACCES}, nil, missing},
		"attached, silent": {status{}, errSilent, nil, missing},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			k := Kernel{proc: t.TempDir(), status: tt.status}
			err := k.attempt(feature{
				operation: "try", try: func() error { return tt.err }, remedy: missing,
				needs: []Capability{CapBPF, CapPerfmon}, grant: grant,
			}, tt.memlock)
			var u *Unavailable
			if !errors.As(err, &u) || u.Remedy != tt.want {
				t.Errorf("got error %v, want remedy %s", err, tt.want)
			}
		})
	}
	if err := (Kernel{}).attempt(feature{try: func() error { return nil }}, unix.EPERM); err != nil {
		t.Errorf("got %v for no error", err)
	}
}

func TestExplainUserWrites(t *testing.T) {
	verifier := &ebpf.VerifierError{Cause: unix.EINVAL, Log: []string{"unknown func", "processed 5 insns", ""}}
	const says = `the verifier says "unknown func": invalid argument`
	tests := map[string]struct {
		lockdown     string
		capabilities Capabilities
		want         string
	}{
		"locked down": {"none [integrity] confidentiality", 1 << CapSysAdmin,
			"cannot write to the memory of traced programs: the kernel is locked down (lockdown=integrity) " +
				"(boot without Secure Boot or with lockdown=none)"},
		"no capability": {"[none] integrity confidentiality", 0,
			"cannot write to the memory of traced programs: " + says + " (run as root or grant CAP_SYS_ADMIN)"},
		"not mounted": {"", 1 << CapSysAdmin,
			"cannot write to the memory of traced programs: " + says +
				" (if this is lockdown, boot without Secure Boot or with lockdown=none)"},
		"unexplained": {"[none] integrity confidentiality", 1 << CapSysAdmin,
			"cannot write to the memory of traced programs: " + says +
				" (look in the kernel's log for a refusal by a security module (SELinux, AppArmor))"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.lockdown != "" {
				if err := os.WriteFile(filepath.Join(dir, "lockdown"), []byte(tt.lockdown+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			k := Kernel{proc: t.TempDir(), securityfs: dir, status: status{capabilities: tt.capabilities}}
			if err := k.explainUserWrites(verifier); err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}
