package export

import (
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakeClocks are a boot clock and a wall clock that the test sets; a reading takes the next of the delays.
type fakeClocks struct {
	boot, wall uint64
	delays     []uint64
	readings   int
}

func (f *fakeClocks) now(clock int32) uint64 {
	f.readings++
	if len(f.delays) > 0 {
		f.boot += f.delays[0]
		f.wall += f.delays[0]
		f.delays = f.delays[1:]
	}
	if clock == unix.CLOCK_BOOTTIME {
		return f.boot
	}
	return f.wall
}

func TestClockKeepsTightestReading(t *testing.T) {
	f := &fakeClocks{boot: 1000, wall: 5000, delays: []uint64{
		0, 90, 10, // boot, wall, boot: 45 ns off by the middle of an uneven gap of 100
		0, 1, 1, // the tightest, and even
		0, 0, 500, // interrupted after the wall clock was read
	}}
	c := &Clock{now: f.now}
	c.measure()
	if got := c.Unix(1000); got != 5000 {
		t.Errorf("Unix(1000) = %d, want 5000", got)
	}
}

func TestClockFollowsSteps(t *testing.T) {
	const second = uint64(time.Second)
	f := &fakeClocks{boot: 100 * second, wall: 1000 * second}
	c := &Clock{now: f.now}
	c.measure()
	check := func(boot, want uint64) {
		t.Helper()
		if got := c.Unix(boot); got != want {
			t.Errorf("Unix(%d) = %d, want %d", boot, got, want)
		}
	}
	f.boot, f.wall = 100*second+second/2, 2000*second // stepped half a second later
	before := f.readings
	check(100*second+second/2, 1000*second+second/2) // too soon for a new reading
	check(99*second, 999*second)                     // the past asks for none
	if f.readings != before {
		t.Errorf("%d readings within a second", f.readings-before)
	}
	f.boot, f.wall = 102*second, 2001*second+second/2
	check(102*second, 2001*second+second/2)

	// A step between the ends of a span does not change its duration.
	f.boot, f.wall = 110*second, 50*second
	if start, end := c.Interval(103*second, 110*second); start != 43*second || end != 50*second {
		t.Errorf("Interval = %d, %d", start, end)
	}
	// A time stamp from nowhere does not stop later measurements.
	c.Unix(1 << 62)
	f.boot, f.wall = 120*second, 70*second
	check(120*second, 70*second)
}

func TestClockAgreesWithTheMachine(t *testing.T) {
	c := NewClock()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				got := time.Unix(0, int64(c.Unix(clockGettime(unix.CLOCK_BOOTTIME))))
				if d := time.Since(got).Abs(); d > 50*time.Millisecond {
					t.Errorf("%v off", d)
				}
				c.measure()
			}
		})
	}
	wg.Wait()
}
