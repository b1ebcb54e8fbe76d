package bpf

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// trialLicense opens the helpers that the kernel keeps for GPL-compatible programs.
const trialLicense = "Dual MIT/GPL"

// errSilent is a probe that was attached without complaint and did not fire.
var errSilent = errors.New("the probe was attached but did not fire")

// feature is something that a kernel has or has not, and that it may refuse.
type feature struct {
	operation string // as Unavailable has it
	try       func() error
	remedy    string // where the kernel does not have it

	needs []Capability // without which the kernel refuses it
	grant string       // the remedy then
}

var (
	loadPrograms = feature{
		operation: "load BPF programs",
		try:       func() error { return tryLoad() },
		remedy:    "use a kernel built with CONFIG_BPF_SYSCALL and CONFIG_BPF_EVENTS",
		needs:     []Capability{CapBPF, CapPerfmon},
		grant:     "run as root or grant CAP_BPF and CAP_PERFMON, before Linux 5.8 CAP_SYS_ADMIN",
	}
	perfUprobes = feature{
		operation: "attach uprobes by perf events",
		try:       tryUprobe,
		remedy:    "use a kernel built with CONFIG_UPROBE_EVENTS",
		// CAP_PERFMON is not enough.
		// https://github.com/torvalds/linux/blob/v6.12/kernel/events/core.c (perf_uprobe_event_init)
		needs: []Capability{CapSysAdmin},
		grant: "run as root or grant CAP_SYS_ADMIN; from Linux 6.10 uprobe_multi does without it",
	}
	multiUprobes = feature{
		operation: "attach uprobes by uprobe_multi",
		try:       tryUprobeMulti,
		remedy:    "use Linux 6.10 or newer",
	}
	attachCookies = feature{
		operation: "give a cookie to a uprobe",
		try:       tryCookie,
		remedy:    "use Linux 5.15 or newer",
		needs:     []Capability{CapSysAdmin},
		grant:     "run as root or grant CAP_SYS_ADMIN; from Linux 6.10 uprobe_multi does without it",
	}
	ringBuffers = feature{
		operation: "create a BPF ring buffer",
		try:       tryRingBuffer,
		remedy:    "use Linux 5.8 or newer",
	}
	loops = feature{
		operation: "loop with bpf_loop",
		try:       tryLoop,
		remedy:    "use Linux 5.17 or newer",
	}
	registerWrites = feature{
		operation: "write registers in a uprobe",
		try:       tryRegisterWrite,
		remedy:    "use Linux 6.19 or newer",
	}
)

// tryLoad loads a program of these instructions and discards it.
func tryLoad(instructions ...asm.Instruction) error {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:         ebpf.Kprobe,
		Instructions: append(instructions, asm.Mov.Imm(asm.R0, 0), asm.Return()),
		License:      trialLicense,
	})
	if err != nil {
		return err
	}
	return prog.Close()
}

func tryRingBuffer() error {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: uint32(os.Getpagesize())})
	if err != nil {
		return err
	}
	return m.Close()
}

// tryUserWrite loads a program that would write to the traced process. It is never run.
func tryUserWrite() error {
	return tryLoad(
		asm.Mov.Imm(asm.R1, 0), // to address 0
		asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -8),
		asm.Mov.Imm(asm.R3, 8), // bytes
		asm.FnProbeWriteUser.Call(),
	)
}

// tryRegisterWrite loads a program that would write the register in which functions
// return their result. It is never run.
func tryRegisterWrite() error {
	return tryLoad(
		asm.Mov.Imm(asm.R2, 0),
		asm.StoreMem(asm.R1, resultRegister, asm.R2, asm.DWord),
	)
}

// tryLoop asks for bpf_loop. To call it takes a second function and BTF that describes
// it, so what counts is whether the verifier knows the helper.
func tryLoop() error { return features.HaveProgramHelper(ebpf.Kprobe, asm.FnLoop) }

// tryUprobe attaches to a function of this program through a perf event.
func tryUprobe() error {
	value, err := fireTrial(ebpf.AttachNone, storeOne, attachPerf(0))
	return fired(value, 1, err)
}

// tryUprobeMulti attaches to a function of this program with a PID filter. Before the
// filter was mended in Linux 6.10 (and in later 6.6 ones) it let only the process's
// first thread through, which is why trials fire from another one.
// https://github.com/torvalds/linux/commit/46ba0e49b64232adac35a2bc892f1710c5b0fb7f
func tryUprobeMulti() error {
	value, err := fireTrial(ebpf.AttachTraceUprobeMulti, storeOne, attachMulti(0))
	return fired(value, 1, err)
}

// tryCookie attaches with a cookie that the program reads back, in either way.
func tryCookie() error {
	const cookie = 0x72656d6f7261
	value, err := fireTrial(ebpf.AttachTraceUprobeMulti, storeCookie, attachMulti(cookie))
	if fired(value, cookie, err) == nil {
		return nil
	}
	value, err = fireTrial(ebpf.AttachNone, storeCookie, attachPerf(cookie))
	return fired(value, cookie, err)
}

// attachFunc attaches a program to an offset in a file, for this process only.
type attachFunc func(exe *link.Executable, prog *ebpf.Program, offset uint64) (link.Link, error)

func attachPerf(cookie uint64) attachFunc {
	return func(exe *link.Executable, prog *ebpf.Program, offset uint64) (link.Link, error) {
		return exe.Uprobe("", prog, &link.UprobeOptions{Address: offset, PID: os.Getpid(), Cookie: cookie})
	}
}

func attachMulti(cookie uint64) attachFunc {
	return func(exe *link.Executable, prog *ebpf.Program, offset uint64) (link.Link, error) {
		return exe.UprobeMulti(nil, prog, &link.UprobeMultiOptions{
			Addresses: []uint64{offset}, Cookies: []uint64{cookie}, PID: uint32(os.Getpid()),
		})
	}
}

// fired is the error of a trial whose program was to store want.
func fired(value, want uint64, err error) error {
	switch {
	case err != nil:
		return err
	case value == 0:
		return errSilent
	case value != want:
		return fmt.Errorf("the probe fired with %#x instead of %#x", value, want)
	}
	return nil
}

// storeOne and storeCookie are what a trial's program leaves in R0 to be stored.
var (
	storeOne    = asm.Mov.Imm(asm.R0, 1)
	storeCookie = asm.FnGetAttachCookie.Call()
)

// fireTrial attaches a program to a function of this one, calls the function and
// returns what the given instruction left in R0; 0 if the program did not run.
func fireTrial(attachType ebpf.AttachType, compute asm.Instruction, attach attachFunc) (value uint64, err error) {
	result, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return 0, err
	}
	defer result.Close()

	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:         ebpf.Kprobe,
		AttachType:   attachType,
		Instructions: append(asm.Instructions{compute}, storeResult(result)...),
		License:      trialLicense,
	})
	if err != nil {
		return 0, err
	}
	defer prog.Close()

	offset, err := fileOffset(reflect.ValueOf(trialTarget).Pointer())
	if err != nil {
		return 0, err
	}
	exe, err := link.OpenExecutable("/proc/self/exe")
	if err != nil {
		return 0, err
	}
	l, err := attach(exe, prog, offset)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	callOffMainThread(trialTarget)
	return value, result.Lookup(uint32(0), &value)
}

// storeResult ends a program by storing R0 in the map's first element.
func storeResult(m *ebpf.Map) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R0),
		asm.StoreImm(asm.RFP, -4, 0, asm.Word), // the key
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "exit"),
		asm.StoreMem(asm.R0, 0, asm.R6, asm.DWord),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("exit"),
		asm.Return(),
	}
}

// trialTarget is the function that trials probe.
//
//go:noinline
func trialTarget() {}

// callOffMainThread calls f in a thread that is not the process's first one.
func callOffMainThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if unix.Gettid() == unix.Getpid() {
			callOffMainThread(f) // this thread is taken: another goroutine gets another
			return
		}
		f()
	}()
	<-done
}

// fileOffset returns where in this program's file the code at an address is.
func fileOffset(address uintptr) (uint64, error) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return 0, fmt.Errorf("find own code: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var start, end, offset uint64
		var permissions string
		_, err := fmt.Sscanf(lines.Text(), "%x-%x %s %x", &start, &end, &permissions, &offset)
		if err == nil && start <= uint64(address) && uint64(address) < end {
			return uint64(address) - start + offset, nil
		}
	}
	return 0, fmt.Errorf("find own code: no mapping of /proc/self/maps holds %#x: %w", address, lines.Err())
}
