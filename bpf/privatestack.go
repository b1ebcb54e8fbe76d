package bpf

import (
	"bytes"
	"runtime"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// From Linux 6.13 on, programs of the kprobe type, uprobes' too, have one stack per CPU that all their runs share. It was made for programs that
// cannot be preempted, and uprobes' can: two goroutines at the same probe then use the same stack, which has crashed kernels
// (https://github.com/open-telemetry/opentelemetry-ebpf-instrumentation/issues/3056). The verifier gives no such stack to a program
// in which it finds a tail call: https://github.com/torvalds/linux/blob/v6.13/kernel/bpf/verifier.c (check_max_stack_depth).

// tailCallMap is the name of the map that the tail call would go by. It is empty.
const tailCallMap = "no_private_stack"

// withoutPrivateStacks puts a tail call that is never reached before each program.
func withoutPrivateStacks(spec *ebpf.CollectionSpec) {
	spec.Maps[tailCallMap] = &ebpf.MapSpec{Name: tailCallMap, Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	for _, p := range spec.Programs {
		p.Instructions = append(unreachedTailCall(), p.Instructions...)
		moveStart(p.Instructions, len(unreachedTailCall()))
	}
}

// unreachedTailCall leaves R1, the program's context, as it is. The verifier sees that it is not reached, and takes it out again.
func unreachedTailCall() asm.Instructions {
	call := asm.Instructions{
		asm.LoadMapPtr(asm.R2, 0).WithReference(tailCallMap),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnTailCall.Call(),
	}
	skip := asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JEq).SetSource(asm.ImmSource), Dst: asm.R0, Offset: int16(call.Size() / asm.InstructionSize)}
	return append(asm.Instructions{asm.Mov.Imm(asm.R0, 0), skip}, call...)
}

// moveStart makes the first instruction, not the one that was, the beginning of the program's function.
func moveStart(all asm.Instructions, was int) {
	old := all[was]
	all[0] = btf.WithFuncMetadata(all[0].WithSymbol(old.Symbol()).WithSource(old.Source()), btf.FuncMetadata(&old))
	all[was] = asm.Instruction{OpCode: old.OpCode, Dst: old.Dst, Src: old.Src, Offset: old.Offset, Constant: old.Constant}
	if ref := old.Reference(); ref != "" {
		all[was] = all[was].WithReference(ref)
	}
}

// acceptsTailCall says whether the kernel takes a program with such a tail call that calls a function of its own. Those that do not, Linux before 6.0 on
// arm64, have no private stacks.
func acceptsTailCall() bool {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return false
	}
	defer m.Close()
	all := unreachedTailCall()
	all[2] = asm.LoadMapPtr(asm.R2, m.FD())
	const function = "trial_function"
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Kprobe,
		Instructions: append(all,
			asm.Call.Label(function),
			asm.Return(),
			asm.Mov.Imm(asm.R0, 0).WithSymbol(function),
			asm.Return(),
		),
		License: trialLicense,
	})
	if err != nil {
		return false
	}
	prog.Close()
	return true
}

// loadsPrivateStack is what the kernel's compiler for amd64 begins a function with that has a private stack: ADD R9, GS:…
// (https://github.com/torvalds/linux/blob/v6.13/arch/x86/net/bpf_jit_comp.c, emit_priv_frame_ptr).
var loadsPrivateStack = []byte{0x65, 0x4c, 0x03, 0x0c, 0x25}

// PrivateStacks names the programs that have a private stack after all, as far as their machine code tells: on amd64.
func (p *Programs) PrivateStacks() ([]string, error) {
	if runtime.GOARCH != "amd64" {
		return nil, nil
	}
	var names []string
	for name, program := range p.coll.Programs {
		info, err := program.Info()
		if err != nil {
			return nil, err
		}
		if code, ok := info.JitedInsns(); ok && bytes.Contains(code, loadsPrivateStack) {
			names = append(names, name)
		}
	}
	return names, nil
}
