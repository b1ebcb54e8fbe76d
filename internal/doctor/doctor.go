// Package doctor says what of tracing works on this machine, what follows from what does
// not, and what to do about it.
package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/remora-agent/remora/bpf"
)

// Status is the outcome of a Check.
type Status string

// A warning costs something; without what is missing nothing can be traced.
const (
	OK      Status = "ok"
	Warning Status = "warning"
	Missing Status = "missing"
)

// Check is one row of the report.
type Check struct {
	Name        string `json:"name"`
	Status      Status `json:"status"`
	Detail      string `json:"detail"`                // what was found
	Consequence string `json:"consequence,omitempty"` // for tracing, unless ok
	Remedy      string `json:"remedy,omitempty"`
}

// Run examines the machine by trying: it loads and attaches small programs, for this
// process only, and takes them away again. It takes a few tenths of a second.
func Run(k bpf.Kernel) []Check { return report(find(k)) }

// Healthy reports whether programs can be traced at all: nothing is missing.
func Healthy(checks []Check) bool {
	return !slices.ContainsFunc(checks, func(c Check) bool { return c.Status == Missing })
}

// findings is all that the report is made of.
type findings struct {
	release, architecture string

	bpf, uprobes, uprobeMulti, attachCookie, ringBuffer error
	bpfLoop, userWrites, registerWrites                 error
	otherProcesses, environments                        error

	capabilities      bpf.Capabilities
	hostPIDNamespace  bool
	hostUserNamespace bool
	seccomp           bool
	lockdown          bpf.Lockdown
	perfEventParanoid setting
	ptraceScope       setting
}

// setting is a sysctl; not every kernel has it.
type setting struct {
	value int
	known bool
}

func (s setting) String() string {
	if !s.known {
		return "absent"
	}
	return fmt.Sprint(s.value)
}

func find(k bpf.Kernel) findings {
	f := findings{
		release:           k.Release(),
		architecture:      k.Architecture(),
		bpf:               k.BPF(),
		uprobes:           k.Uprobes(),
		uprobeMulti:       k.UprobeMulti(),
		attachCookie:      k.AttachCookie(),
		ringBuffer:        k.RingBuffer(),
		bpfLoop:           k.BPFLoop(),
		userWrites:        k.UserWrites(),
		registerWrites:    k.RegisterWrites(),
		otherProcesses:    k.OtherProcesses(),
		environments:      k.Environments(),
		capabilities:      k.Capabilities(),
		hostPIDNamespace:  k.HostPIDNamespace(),
		hostUserNamespace: k.HostUserNamespace(),
		seccomp:           k.Seccomp(),
		lockdown:          k.Lockdown(),
	}
	f.perfEventParanoid.value, f.perfEventParanoid.known = k.PerfEventParanoid()
	f.ptraceScope.value, f.ptraceScope.known = k.PtraceScope()
	return f
}

// programs is the name of the row that rows of what was not tried refer to.
const programs = "BPF programs"

// report turns findings into rows, the most fundamental first.
func report(f findings) []Check {
	checks := []Check{
		kernel(f),
		privileges(f),
		tried(programs, f.bpf, Missing, "load", "nothing can be traced"),
		tried("ring buffer", f.ringBuffer, Missing, "is there", "nothing can be traced"),
		uprobes(f),
		uprobeMulti(f),
		tried("attach cookies", f.attachCookie, Warning, "reach the program",
			"what needs them is left out"),
		tried("bpf_loop", f.bpfLoop, Warning, "is there",
			"what needs it is left out"),
		userWrites(f),
		tried("register writes", f.registerWrites, Warning, "are allowed",
			"probes on instructions that the kernel does not emulate, such as RET, cost a second trap, and "+
				"traceparent cannot be steered into requests; every span is still made"),
		propagation(f),
		tried("other processes", f.otherProcesses, Warning, "are visible",
			"only this user's own processes can be found and traced"),
		tried("environments", f.environments, Warning, "are readable",
			"OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES of other users' programs are not seen"),
		pidNamespace(f),
	}
	if f.bpf == nil {
		return checks
	}
	bpfDetail := tried(programs, f.bpf, Missing, "", "").Detail
	for i, c := range checks {
		if c.Name != programs && c.Detail == bpfDetail {
			checks[i].Detail = "not tried, because BPF programs do not load"
			checks[i].Remedy = "see " + programs
		}
	}
	return checks
}

func kernel(f findings) Check {
	return Check{
		Name:   "kernel",
		Status: OK,
		Detail: fmt.Sprintf("Linux %s, %s, lockdown %s, perf_event_paranoid %v, ptrace_scope %v",
			f.release, f.architecture, f.lockdown, f.perfEventParanoid, f.ptraceScope),
	}
}

// privileges only shows what the process has: what it lacks shows in the rows below it.
func privileges(f findings) Check {
	var has []string
	for _, c := range bpf.RelevantCapabilities() {
		if f.capabilities.Has(c) {
			has = append(has, c.String())
		}
	}
	detail := "none that matters"
	if len(has) > 0 {
		detail = strings.Join(has, " ")
	}
	if !f.hostUserNamespace {
		detail += ", in a user namespace, where they do not count"
	}
	if f.seccomp {
		detail += ", under a seccomp filter"
	}
	return Check{Name: "privileges", Status: OK, Detail: detail}
}

// tried is the row of something that was tried; found says in the good case what it
// does: "are allowed".
func tried(name string, err error, otherwise Status, found, consequence string) Check {
	if err == nil {
		return Check{Name: name, Status: OK, Detail: found}
	}
	c := Check{Name: name, Status: otherwise, Detail: err.Error(), Consequence: consequence}
	var u *bpf.Unavailable
	if errors.As(err, &u) {
		c.Detail = fmt.Sprintf("cannot %s: %v", u.Operation, u.Cause)
		c.Remedy = u.Remedy
	}
	return c
}

// uprobes by perf events are needed only where there is no uprobe_multi.
func uprobes(f findings) Check {
	c := tried("uprobes", f.uprobes, Missing, "fire", "nothing can be traced")
	if f.uprobes != nil && f.uprobeMulti == nil {
		return Check{Name: c.Name, Status: OK, Detail: c.Detail + "; uprobe_multi does without"}
	}
	return c
}

// uprobeMulti is dispensable where there are uprobes by perf events.
func uprobeMulti(f findings) Check {
	if f.uprobeMulti != nil && f.uprobes != nil {
		return tried("uprobe_multi", f.uprobeMulti, Missing, "", "nothing can be traced")
	}
	return tried("uprobe_multi", f.uprobeMulti, Warning, "fires in all threads of one process",
		"probes are attached one by one, which takes about four times as long")
}

// userWrites are needed only where requests cannot be steered.
func userWrites(f findings) Check {
	c := tried("user writes", f.userWrites, Warning, "are allowed",
		"traceparent cannot be written into requests; every span is still made")
	if f.userWrites != nil && f.registerWrites == nil {
		return Check{Name: c.Name, Status: OK, Detail: c.Detail + "; steering does without"}
	}
	return c
}

// propagation says how traceparent comes into requests with REMORA_INJECT=auto.
func propagation(f findings) Check {
	c := Check{Name: "propagation", Status: OK}
	switch {
	case f.registerWrites == nil && f.userWrites == nil:
		c.Detail = "by steering: the program's own functions write traceparent; by writing where a library has no probe that steers"
	case f.registerWrites == nil:
		c.Detail = "by steering: the program's own functions write traceparent, no byte of its memory is written"
	case f.userWrites == nil:
		c.Detail = "by writing traceparent into the program's buffers, because this kernel cannot steer"
	default:
		c.Status = Warning
		c.Detail = "neither register writes nor user writes are allowed"
		c.Consequence = "outgoing requests carry no traceparent; every span is still made"
		c.Remedy = "see register writes and user writes"
	}
	return c
}

func pidNamespace(f findings) Check {
	if f.hostPIDNamespace {
		return Check{Name: "PID namespace", Status: OK, Detail: "the machine's own"}
	}
	return Check{
		Name:        "PID namespace",
		Status:      Warning,
		Detail:      "a container's own",
		Consequence: "only processes of this container can be found and traced",
		Remedy:      "run with the machine's PIDs (Kubernetes: hostPID: true; Docker: --pid=host)",
	}
}
