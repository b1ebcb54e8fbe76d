package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// spanOffsets asks remora where in a file it puts these programs, in bytes from the file's start: of each the first point, which is the one
// that nearly every operation passes.
func spanOffsets(remora, file string, programs []string) ([]uint64, error) {
	out, err := exec.Command(remora, "inspect", "--json", file).Output()
	if err != nil {
		return nil, fmt.Errorf("inspect the target: %w", err)
	}
	var report struct {
		Probes []struct {
			Programs []struct {
				Name   string
				Points []struct{ Offset uint64 }
			}
		}
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return nil, fmt.Errorf("read what inspect says: %w", err)
	}
	var offsets []uint64
	for _, probe := range report.Probes {
		for _, program := range probe.Programs {
			if !slices.Contains(programs, program.Name) {
				continue
			}
			if len(program.Points) > 0 {
				offsets = append(offsets, program.Points[0].Offset)
			}
		}
	}
	if len(offsets) != len(programs) {
		return nil, fmt.Errorf("inspect shows points of %d of the programs %v", len(offsets), programs)
	}
	return offsets, nil
}

// attachFloor puts a program that does nothing at each offset of a running process. The caller closes what it returns.
func attachFloor(pid int, offsets []uint64) (func() error, error) {
	spec, err := loadFloor()
	if err != nil {
		return nil, err
	}
	spec.Programs["nothing"].AttachType = ebpf.AttachTraceUprobeMulti
	var objects floorObjects
	if err := spec.LoadAndAssign(&objects, nil); err != nil {
		return nil, fmt.Errorf("load the floor's program: %w", err)
	}
	exe, err := link.OpenExecutable(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return nil, errors.Join(err, objects.Close())
	}
	probes, err := exe.UprobeMulti(nil, objects.Nothing, &link.UprobeMultiOptions{Addresses: offsets, PID: uint32(pid)})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("attach the floor: %w", err), objects.Close())
	}
	return func() error { return errors.Join(probes.Close(), objects.Close()) }, nil
}
