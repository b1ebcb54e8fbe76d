package bpf

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// How long Drain waits: until what a program may have decided when the target was not yet known to be drained is to be seen;
// then from look to look; and for a header whose target does not go on with it, because it has ended or waits for its peer.
const (
	drainSettles = 10 * time.Millisecond
	drainLooks   = 2 * time.Millisecond
	drainStalls  = 5 * time.Second
)

// Drain has no header steered into requests of these targets any more, and returns when those that were begun are written. The
// programs must stay attached until then: without them a header would remain half. It returns how many targets' goroutines did
// not go on with theirs.
func (r *Runtime) Drain(targets ...uint32) (stalled int, err error) {
	if !r.opts.Steer || len(targets) == 0 {
		return 0, nil
	}
	var failed error
	for i, target := range targets {
		if err := r.shared.Draining.Put(target, uint32(1)); err != nil { // of thousands
			failed = fmt.Errorf("cannot end steering of %d targets: %w", len(targets)-i, err)
			targets = targets[:i]
			break
		}
	}
	for wait := drainSettles; ; wait = drainLooks {
		time.Sleep(wait)
		begun, stalled, err := r.headersBegun(targets)
		if err != nil || begun == 0 {
			return stalled, errors.Join(failed, err)
		}
	}
}

// Resume has headers steered again into requests of a target for which Drain has ended that.
func (r *Runtime) Resume(target uint32) error { return remove(r.shared.Draining, []uint32{target}) }

// headersBegun counts the headers that are being written, apart from those that nobody goes on with.
func (r *Runtime) headersBegun(targets []uint32) (begun, stalled int, err error) {
	var key SpanKey
	var s sharedSteering
	now, err := bootTime()
	if err != nil {
		return 0, 0, err
	}
	entries := r.shared.Steerings.Iterate()
	for entries.Next(&key, &s) {
		if s.State != uint32(sharedSteerStateSTEER_GOING) || !slices.Contains(targets, key.Target) {
			continue
		}
		if now > s.Since && now-s.Since > uint64(drainStalls) {
			stalled++
		} else {
			begun++
		}
	}
	if err := entries.Err(); errors.Is(err, ebpf.ErrIterationAborted) {
		return 1, 0, nil // entries come and go too quickly: look again
	} else if err != nil {
		return 0, 0, fmt.Errorf("cannot list headers that are being written: %w", err)
	}
	return begun, stalled, nil
}

// bootTime is the clock of the programs, in nanoseconds.
func bootTime() (uint64, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0, fmt.Errorf("cannot read the boot clock: %w", err)
	}
	return uint64(t.Nano()), nil
}

// forgetSteering removes what is left of a target that is gone.
func (r *Runtime) forgetSteering(target uint32) error {
	var key SpanKey
	var value []byte
	var gone []SpanKey
	entries := r.shared.Steerings.Iterate()
	for entries.Next(&key, &value) {
		if key.Target == target {
			gone = append(gone, key)
		}
	}
	if err := entries.Err(); err != nil {
		return fmt.Errorf("cannot list headers that are being written: %w", err)
	}
	return errors.Join(remove(r.shared.Steerings, gone), r.Resume(target))
}
