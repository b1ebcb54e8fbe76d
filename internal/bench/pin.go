package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// pinSelf keeps this process, and what it starts from now on, on one CPU.
func pinSelf(cpu int) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	var set unix.CPUSet
	set.Set(cpu)
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil {
			return fmt.Errorf("pin to CPU %d: %w", cpu, err)
		}
	}
	return nil
}

// cpuTime is how long a process has run.
func cpuTime(pid int) (time.Duration, error) {
	const scheduled = 2 // https://github.com/torvalds/linux/blob/v6.12/include/linux/posix-timers_types.h: CPUCLOCK_SCHED
	var ran unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &ran); err != nil {
		return 0, fmt.Errorf("read the CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(ran.Nano()), nil
}
