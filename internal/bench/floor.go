package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/remora-agent/remora/bpf"
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
	offsets := make([]uint64, len(programs))
	for _, probe := range report.Probes {
		for _, program := range probe.Programs {
			if i := slices.Index(programs, program.Name); i >= 0 && len(program.Points) > 0 {
				offsets[i] = program.Points[0].Offset
			}
		}
	}
	if i := slices.Index(offsets, 0); i >= 0 {
		return nil, fmt.Errorf("inspect shows no point of the program %s", programs[i])
	}
	return offsets, nil
}

// yardstick are programs that remora is compared with, attached to a running process.
type yardstick struct {
	objects floorObjects
	exe     *link.Executable
	pid     int
	links   []link.Link
	events  *bpf.Reader
}

// attachFloor puts a program that does nothing at each offset. The caller closes what it returns.
func attachFloor(pid int, offsets []uint64) (*yardstick, error) {
	y, err := newYardstick(pid, false)
	if err != nil {
		return nil, err
	}
	return y.attach(y.objects.Nothing, offsets)
}

// attachBare makes the least that a span can be of what passes the first offset and then the second; at the others it does nothing. The
// caller closes what it returns.
func attachBare(pid int, offsets []uint64, endsElsewhere bool) (*yardstick, error) {
	y, err := newYardstick(pid, endsElsewhere)
	if err != nil {
		return nil, err
	}
	if _, err := y.attach(y.objects.BareBegin, offsets[:1]); err != nil {
		return nil, err
	}
	if _, err := y.attach(y.objects.BareEnd, offsets[1:2]); err != nil || len(offsets) == 2 {
		return y, err
	}
	return y.attach(y.objects.Nothing, offsets[2:])
}

func newYardstick(pid int, endsElsewhere bool) (*yardstick, error) {
	spec, err := loadFloor()
	if err != nil {
		return nil, err
	}
	for _, program := range spec.Programs {
		program.AttachType = ebpf.AttachTraceUprobeMulti
	}
	if err := spec.Variables[floorVarEndsElsewhere].Set(endsElsewhere); err != nil {
		return nil, err
	}
	y := &yardstick{pid: pid}
	if err := spec.LoadAndAssign(&y.objects, nil); err != nil {
		return nil, fmt.Errorf("load the floor's programs: %w", err)
	}
	if y.exe, err = link.OpenExecutable(fmt.Sprintf("/proc/%d/exe", pid)); err == nil {
		y.events, err = bpf.OpenRing(y.objects.BareEvents)
	}
	if err != nil {
		return nil, errors.Join(err, y.objects.Close())
	}
	return y, nil
}

// attach returns y, or closes it if it fails.
func (y *yardstick) attach(program *ebpf.Program, offsets []uint64) (*yardstick, error) {
	l, err := y.exe.UprobeMulti(nil, program, &link.UprobeMultiOptions{Addresses: offsets, PID: uint32(y.pid)})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("attach the floor: %w", err), y.Close())
	}
	y.links = append(y.links, l)
	return y, nil
}

// empty reads what is in the ring buffer, or there would soon be no room for a span.
func (y *yardstick) empty() error {
	return y.events.Drain(func([]byte) {})
}

// Close detaches all.
func (y *yardstick) Close() error {
	var err error
	for _, l := range y.links {
		err = errors.Join(err, l.Close())
	}
	return errors.Join(err, y.events.Close(), y.objects.Close())
}
