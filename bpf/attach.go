package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/link"
)

// Attachment is one program at its points in one process. Close detaches it.
type Attachment []link.Link

// Close detaches the program everywhere; the kernel has removed the breakpoints when it returns.
func (a Attachment) Close() error {
	var errs []error
	for _, l := range a {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// Attach puts a program on offsets (in bytes from the start of the file exe) in the process pid only: the i-th is that of the
// i-th point of the program's constant. target comes back in the events of this process; without attach cookies it must be pid.
func (p *Programs) Attach(program, exe string, pid int, offsets []uint64, target uint32) (Attachment, error) {
	prog, ok := p.coll.Programs[program]
	if !ok {
		return nil, fmt.Errorf("there is no BPF program %q", program)
	}
	file, err := link.OpenExecutable(exe)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", exe, err)
	}
	if p.runtime.opts.UprobeMulti {
		cookies := make([]uint64, len(offsets))
		for i := range cookies {
			cookies[i] = cookie(i, target)
		}
		l, err := file.UprobeMulti(nil, prog, &link.UprobeMultiOptions{Addresses: offsets, Cookies: cookies, PID: uint32(pid)})
		if err != nil {
			return nil, fmt.Errorf("cannot attach %s to process %d: %w", program, pid, err)
		}
		return Attachment{l}, nil
	}
	var a Attachment
	for i, offset := range offsets {
		opts := &link.UprobeOptions{Address: offset, PID: pid}
		if p.runtime.opts.AttachCookie {
			opts.Cookie = cookie(i, target)
		}
		l, err := file.Uprobe("", prog, opts)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cannot attach %s to process %d: %w", program, pid, err), a.Close())
		}
		a = append(a, l)
	}
	return a, nil
}

// cookie is what find_point and target_id take apart.
func cookie(point int, target uint32) uint64 { return uint64(point)<<32 | uint64(target) }
