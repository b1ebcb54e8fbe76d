package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/remora-agent/remora/internal/rig"
	"github.com/remora-agent/remora/internal/testenv"
)

var soak = flag.Duration("soak", 10*time.Second, "how long TestGRPCSoak keeps the relay under load (make soak: an hour)")

const (
	soakStreams = 50       // under way at once
	soakSamples = 20       // of the agent, in the whole time
	soakGrowth  = 16 << 20 // bytes by which the agent's memory may grow once it is warm
)

// TestGRPCSoak: a relay under load for long. Each call is its five spans, the agent's memory does not grow, and whenever no call is under way its
// map of operations is empty.
func TestGRPCSoak(t *testing.T) {
	testenv.RequireRoot(t)
	endpoint, err := rig.Discard() // an hour's spans are millions
	if err != nil {
		t.Fatal(err)
	}
	r := startGRPCRelay(t, grpcBuilds()[0], false, nil, "OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint)
	if err := r.run(soakStreams); err != nil { // warms up
		t.Fatal(err)
	}
	calls := int64(soakStreams)
	end := time.Now().Add(*soak)
	var group sync.WaitGroup
	var pause sync.RWMutex // held for reading by calls
	errs := make([]error, soakStreams)
	for worker := range soakStreams {
		group.Go(func() { errs[worker] = r.soak(worker, end, &pause, &calls) })
	}
	resident := r.watch(t, end, &pause)
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	exported := func() int { return int(r.agent.Metric(t, "remora_spans_exported_total")) }
	testenv.Within(30*time.Second, func() bool { return exported() >= 5*int(calls) })
	t.Logf("%v: %d calls, %d spans; the agent's memory: %v MB", *soak, calls, exported(), resident)
	if n := exported(); n != 5*int(calls) {
		t.Errorf("%d spans, want five for each of %d calls", n, calls)
	}
	if first, last := resident[len(resident)/4], resident[len(resident)-1]; last-first > soakGrowth>>20 {
		t.Errorf("the agent's memory grew from %d to %d MB", first, last)
	}
	checkGRPCEnd(t, r.targets[0], r.agent)
}

// soak makes calls one after the other until the end.
func (r *grpcRelay) soak(worker int, end time.Time, pause *sync.RWMutex, calls *int64) error {
	for i := worker; time.Now().Before(end); i += soakStreams {
		call := r.call(i)
		pause.RLock()
		got, err := call.do(r.conn)
		pause.RUnlock()
		if err == nil {
			err = call.check(got)
		}
		if err != nil {
			return err
		}
		atomic.AddInt64(calls, 1)
	}
	return nil
}

// watch returns the agent's resident memory, in MB, at soakSamples times until the end. Each time calls pause, and nothing of them may be left.
func (r *grpcRelay) watch(t *testing.T, end time.Time, pause *sync.RWMutex) []int {
	t.Helper()
	var resident []int
	for wait := time.Until(end) / soakSamples; time.Now().Before(end); {
		time.Sleep(wait)
		mb, err := residentMB(r.agent.PID)
		if err != nil {
			t.Fatal(err)
		}
		resident = append(resident, mb)
		pause.Lock()
		if !testenv.Within(5*time.Second, func() bool { return operations(t, r.agent.PID) == 0 }) {
			t.Errorf("%d operations are left when no call is under way", operations(t, r.agent.PID))
		}
		pause.Unlock()
	}
	return resident
}

// residentMB reads the memory that a process has: https://man7.org/linux/man-pages/man5/proc_pid_statm.5.html
func residentMB(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, fmt.Errorf("read memory of process %d: got %q", pid, text)
	}
	pages, err := strconv.Atoi(fields[1])
	return pages * os.Getpagesize() >> 20, err
}
