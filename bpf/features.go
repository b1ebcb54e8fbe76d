package bpf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// Kernel says what the running kernel lets this process do. Whatever returns an error
// is found out by trying it, once, when it is first asked for; the errors are of type
// *Unavailable. Release numbers decide nothing: distributions backport, containers and
// lockdown take away.
//
// Copies share their answers; all methods may be called from several goroutines.
type Kernel struct {
	proc       string
	securityfs string
	status     status

	bpf, uprobes, uprobeMulti, attachCookie         func() error
	ringBuffer, userWrites, registerWrites, bpfLoop func() error
}

// Probe prepares the questions to the running kernel and reads the process's own
// privileges. Where BPF counts against the limit on locked memory (before Linux 5.11)
// it lifts this limit of the process, if it may.
func Probe() Kernel {
	k := Kernel{proc: "/proc", securityfs: "/sys/kernel/security"}
	// Without the file the privileges are taken for none; the trials decide anyway.
	text, _ := os.ReadFile(filepath.Join(k.proc, "self/status"))
	k.status = parseStatus(string(text))
	memlock := rlimit.RemoveMemlock()

	k.bpf = sync.OnceValue(func() error { return k.attempt(loadPrograms, memlock) })
	// What builds on BPF programs is not tried without them: the one reason is enough.
	onceLoaded := func(ask func() error) func() error {
		return sync.OnceValue(func() error {
			if err := k.bpf(); err != nil {
				return err
			}
			return ask()
		})
	}
	feature := func(f feature) func() error {
		return onceLoaded(func() error { return k.attempt(f, nil) })
	}
	k.uprobes = feature(perfUprobes)
	k.uprobeMulti = feature(multiUprobes)
	k.attachCookie = feature(attachCookies)
	k.ringBuffer = feature(ringBuffers)
	k.bpfLoop = feature(loops)
	k.registerWrites = feature(registerWrites)
	k.userWrites = onceLoaded(func() error { return k.explainUserWrites(tryUserWrite()) })
	return k
}

// Unavailable says why this process cannot do something, and what would help.
type Unavailable struct {
	Operation string // "load BPF programs": completes "cannot …"
	Cause     error
	Remedy    string // in the imperative; "" if none is known
}

func (u *Unavailable) Error() string {
	if u.Remedy == "" {
		return fmt.Sprintf("cannot %s: %v", u.Operation, u.Cause)
	}
	return fmt.Sprintf("cannot %s: %v (%s)", u.Operation, u.Cause, u.Remedy)
}

func (u *Unavailable) Unwrap() error { return u.Cause }

// BPF reports whether tracing programs can be loaded at all.
func (k Kernel) BPF() error { return k.bpf() }

// Uprobes reports whether a uprobe attached by a perf event fires. That takes
// CAP_SYS_ADMIN, unlike UprobeMulti.
func (k Kernel) Uprobes() error { return k.uprobes() }

// UprobeMulti reports whether a uprobe_multi link with a PID filter fires in all threads
// of the process: from Linux 6.6, and from the mended 6.6.y and 6.10 in all threads.
func (k Kernel) UprobeMulti() error { return k.uprobeMulti() }

// AttachCookie reports whether a program can tell by bpf_get_attach_cookie which of its
// uprobes fired: from Linux 5.15.
func (k Kernel) AttachCookie() error { return k.attachCookie() }

// RingBuffer reports whether there are BPF ring buffers: from Linux 5.8.
func (k Kernel) RingBuffer() error { return k.ringBuffer() }

// UserWrites reports whether programs may write to the traced process's memory, which
// lockdown refuses.
func (k Kernel) UserWrites() error { return k.userWrites() }

// RegisterWrites reports whether a uprobe may change the traced process's registers:
// from Linux 6.19.
func (k Kernel) RegisterWrites() error { return k.registerWrites() }

// BPFLoop reports whether there is bpf_loop: from Linux 5.17.
func (k Kernel) BPFLoop() error { return k.bpfLoop() }

// OtherProcesses reports whether the programs of other users' processes can be found.
// CAP_SYS_PTRACE allows it; without it each process there is is tried.
func (k Kernel) OtherProcesses() error {
	if k.Capabilities().Has(CapSysPtrace) && k.HostUserNamespace() {
		return nil
	}
	links, _ := filepath.Glob(filepath.Join(k.proc, "[0-9]*", "exe"))
	for _, link := range links {
		if _, err := os.Readlink(link); errors.Is(err, os.ErrPermission) {
			return &Unavailable{
				Operation: "see the programs of other users' processes",
				Cause:     rootCause(err),
				Remedy:    "run as root or grant CAP_SYS_PTRACE",
			}
		}
	}
	return nil
}

// Environments reports whether the environment can be read of every process that runs
// a program; for other users' that takes CAP_DAC_READ_SEARCH on top of
// CAP_SYS_PTRACE, because only the owner may open the file (proc_pid_environ(5)).
func (k Kernel) Environments() error {
	remedy := "run as root or grant CAP_DAC_READ_SEARCH"
	if !k.Capabilities().Has(CapSysPtrace) {
		remedy = "run as root or grant CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
	}
	processes, _ := filepath.Glob(filepath.Join(k.proc, "[0-9]*"))
	for _, process := range processes {
		_, err := os.Readlink(filepath.Join(process, "exe"))
		denied := errors.Is(err, os.ErrPermission)
		if err != nil && (!denied || k.Capabilities().Has(CapSysPtrace)) {
			continue // a kernel thread, or one that no capability opens
		}
		f, err := os.Open(filepath.Join(process, "environ"))
		if errors.Is(err, os.ErrPermission) {
			return &Unavailable{
				Operation: "read the environment of other users' processes",
				Cause:     rootCause(err),
				Remedy:    remedy,
			}
		}
		if err == nil {
			f.Close()
		}
	}
	return nil
}

// Release returns the kernel's release as uname -r shows it, "" if unknown.
func (k Kernel) Release() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}

// Architecture returns the architecture that this program was built for, in Go's terms.
func (k Kernel) Architecture() string { return runtime.GOARCH }

// Capabilities returns this process's effective capabilities.
func (k Kernel) Capabilities() Capabilities { return k.status.capabilities }

// Seccomp reports whether a seccomp filter decides on this process's system calls.
func (k Kernel) Seccomp() bool { return k.status.seccomp }

// Lockdown returns the kernel's lockdown. It explains refusals; what is refused is found
// out by trying, because the file is often not mounted.
func (k Kernel) Lockdown() Lockdown { return readLockdown(filepath.Join(k.securityfs, "lockdown")) }

// HostPIDNamespace reports whether this process is in the machine's own PID namespace,
// and so sees the processes of all containers.
func (k Kernel) HostPIDNamespace() bool { return inNamespace(k.proc, "pid", initialPIDNamespace) }

// HostUserNamespace reports whether this process is in the machine's own user namespace.
// The capabilities of others (rootless containers) do not count for BPF.
func (k Kernel) HostUserNamespace() bool { return inNamespace(k.proc, "user", initialUserNamespace) }

// PerfEventParanoid returns the sysctl kernel.perf_event_paranoid; false if unknown.
func (k Kernel) PerfEventParanoid() (int, bool) { return k.sysctl("kernel/perf_event_paranoid") }

// PtraceScope returns the sysctl kernel.yama.ptrace_scope; false without Yama. It limits
// attaching a debugger, not what the agent reads of other processes.
func (k Kernel) PtraceScope() (int, bool) { return k.sysctl("kernel/yama/ptrace_scope") }

func (k Kernel) sysctl(name string) (int, bool) {
	data, err := os.ReadFile(filepath.Join(k.proc, "sys", name))
	if err != nil {
		return 0, false
	}
	value, err := strconv.Atoi(strings.TrimSpace(string(data)))
	return value, err == nil
}

// attempt tries a feature. memlock is why the limit on locked memory could not be
// lifted, nil if it was or does not matter.
func (k Kernel) attempt(f feature, memlock error) error {
	err := f.try()
	if err == nil {
		return nil
	}
	remedy := f.remedy
	if refused(err) {
		remedy = k.permissionRemedy(f, memlock)
	}
	return &Unavailable{Operation: f.operation, Cause: rootCause(err), Remedy: remedy}
}

// refused reports whether the kernel's answer was about who asks. The verifier too says
// EACCES, of an instruction that it does not allow to anybody.
func refused(err error) bool {
	var verifier *ebpf.VerifierError
	return errors.Is(err, os.ErrPermission) && !errors.As(err, &verifier)
}

// permissionRemedy says what may be done about a refusal.
func (k Kernel) permissionRemedy(f feature, memlock error) string {
	lacking := func(c Capability) bool { return !k.Capabilities().grants(c) }
	switch {
	case slices.ContainsFunc(f.needs, lacking):
		return f.grant
	case !k.HostUserNamespace():
		return "run outside of user namespaces such as rootless containers: their capabilities do not count for BPF"
	case memlock != nil && lacking(CapSysResource):
		return "raise the limit on locked memory (ulimit -l unlimited) or grant CAP_SYS_RESOURCE"
	case k.Seccomp():
		return "allow the system calls bpf and perf_event_open in the seccomp profile"
	}
	return "look in the kernel's log for a refusal by a security module (SELinux, AppArmor, lockdown)"
}

// explainUserWrites makes an *Unavailable of tryUserWrite's error. The kernel hides
// bpf_probe_write_user from those who may not use it, so the error does not tell why.
// https://github.com/torvalds/linux/blob/v6.18/kernel/trace/bpf_trace.c
func (k Kernel) explainUserWrites(err error) error {
	if err == nil {
		return nil
	}
	u := &Unavailable{Operation: "write to the memory of traced programs", Cause: rootCause(err)}
	switch lockdown := k.Lockdown(); {
	case lockdown == LockdownIntegrity || lockdown == LockdownConfidentiality:
		u.Cause = fmt.Errorf("the kernel is locked down (lockdown=%s)", lockdown)
		u.Remedy = "boot without Secure Boot or with lockdown=none"
	case !k.Capabilities().Has(CapSysAdmin):
		u.Remedy = "run as root or grant CAP_SYS_ADMIN"
	case lockdown == LockdownUnknown:
		u.Remedy = "if this is lockdown, boot without Secure Boot or with lockdown=none"
	default:
		u.Remedy = "look in the kernel's log for a refusal by a security module (SELinux, AppArmor)"
	}
	return u
}

// rootCause strips an error of the layers above the kernel's answer: a system call's
// error number, and what the verifier said last.
func rootCause(err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err
	}
	var verifier *ebpf.VerifierError
	if errors.As(err, &verifier) {
		for _, line := range slices.Backward(verifier.Log) {
			if line != "" && !strings.HasPrefix(line, "processed ") {
				return fmt.Errorf("the verifier says %q: %w", line, errno)
			}
		}
	}
	return errno
}
