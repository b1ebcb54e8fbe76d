package bpf

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// ending is what lets headers that are being steered into requests be finished when this process is killed.
type ending struct {
	objects endingObjects
	link    link.Link
}

// WatchEnd makes this process's end, if it is killed or crashes, wait until headers that are being steered are written. An error leaves all else as it was.
func (r *Runtime) WatchEnd() error {
	if !r.opts.Steer || r.ending != nil {
		return nil
	}
	e, err := r.watchEnd()
	if err != nil {
		return fmt.Errorf("cannot watch the agent's own end: %w", err)
	}
	r.ending = e
	return nil
}

func (r *Runtime) watchEnd() (_ *ending, err error) {
	var namespace unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &namespace); err != nil {
		return nil, err
	}
	spec, err := loadEnding()
	if err != nil {
		return nil, err
	}
	if err := setConstants(spec, map[string]any{
		endingVarNamespaceDevice: kernelDevice(namespace.Dev),
		endingVarNamespaceInode:  namespace.Ino,
		endingVarAgent:           uint32(os.Getpid()),
	}); err != nil {
		return nil, err
	}
	e := &ending{}
	replaced := ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{endingMapAgentEnded: r.shared.AgentEnded}}
	if err := spec.LoadAndAssign(&e.objects, &replaced); err != nil {
		return nil, err
	}
	if e.link, err = link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sched_process_exit", Program: e.objects.AgentEnds}); err != nil {
		return nil, errors.Join(err, e.objects.Close())
	}
	return e, nil
}

// kernelDevice is a device's number as the kernel keeps it: https://github.com/torvalds/linux/blob/v6.19/include/linux/kdev_t.h
func kernelDevice(dev uint64) uint64 { return uint64(unix.Major(dev))<<20 | uint64(unix.Minor(dev)) }

// Close lets the process end as any other.
func (e *ending) Close() error {
	if e == nil {
		return nil
	}
	return errors.Join(e.link.Close(), e.objects.Close())
}
