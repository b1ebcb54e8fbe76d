package export

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// clockRefresh is how old the offset may grow, in nanoseconds of CLOCK_BOOTTIME. NTP slews a clock by at most 500 ppm, so
// an offset of this age is at most half a millisecond off.
const clockRefresh = uint64(time.Second)

// clockReadings is how many paired readings one refresh takes; the tightest pair wins.
const clockReadings = 5

// Clock converts nanoseconds of CLOCK_BOOTTIME, the clock of the kernel's events, to nanoseconds since the Unix epoch.
//
// The offset between the clocks is measured again when a time stamp more than a second younger than the last measurement
// comes by. So a step of the wall clock is followed by all later spans, suspend does no harm (CLOCK_BOOTTIME runs on), and
// an idle agent does nothing. A Clock may be used by several goroutines. Make one with [NewClock].
type Clock struct {
	now      func(clock int32) uint64 // nanoseconds of a CLOCK_* constant
	offset   atomic.Int64             // Unix time minus CLOCK_BOOTTIME, in nanoseconds
	measured atomic.Uint64            // when offset was measured, in CLOCK_BOOTTIME nanoseconds
}

// NewClock returns a Clock with a fresh offset.
func NewClock() *Clock {
	c := &Clock{now: clockGettime}
	c.measure()
	return c
}

// Unix converts one time stamp. For the two ends of a span use [Clock.Interval].
func (c *Clock) Unix(boot uint64) uint64 {
	return boot + uint64(c.offsetAt(boot))
}

// Interval converts the two ends of a span with one offset, so that its duration stays exact even when the wall clock is
// set while the span is open.
func (c *Clock) Interval(startBoot, endBoot uint64) (start, end uint64) {
	offset := uint64(c.offsetAt(endBoot))
	return startBoot + offset, endBoot + offset
}

func (c *Clock) offsetAt(boot uint64) int64 {
	measured := c.measured.Load()
	if boot > measured && boot-measured > clockRefresh {
		c.measure()
	}
	return c.offset.Load()
}

// measure reads the wall clock between two readings of CLOCK_BOOTTIME, several times, and keeps the offset of the pair that
// had the least time between them: the others were interrupted. Two goroutines may do so at once; either result is right.
func (c *Clock) measure() {
	tightest := ^uint64(0)
	var offset int64
	var end uint64
	for range clockReadings {
		before := c.now(unix.CLOCK_BOOTTIME)
		wall := c.now(unix.CLOCK_REALTIME)
		end = c.now(unix.CLOCK_BOOTTIME)
		if gap := end - before; gap < tightest {
			tightest = gap
			offset = int64(wall - (before + gap/2))
		}
	}
	c.offset.Store(offset)
	c.measured.Store(end)
}

// clockGettime cannot fail: both clocks exist since Linux 2.6.39.
func clockGettime(clock int32) uint64 {
	var t unix.Timespec
	_ = unix.ClockGettime(clock, &t)
	return uint64(t.Nano())
}
