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

// TestGRPCSoak: a relay under load for long. Each call is its five spans, the agent's memory does not grow, and its map of operations holds
// no more than is under way.
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
	errs := make([]error, soakStreams)
	for worker := range soakStreams {
		group.Go(func() { errs[worker] = r.soak(worker, end, &calls) })
	}
	resident := r.watch(t, end)
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	exported := func() int { return int(r.agent.Metric(t, "remora_spans_exported_total")) }
	testenv.Within(testenv.Patient(30*time.Second), func() bool { return exported() >= 5*int(calls) })
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
func (r *grpcRelay) soak(worker int, end time.Time, calls *int64) error {
	for i := worker; time.Now().Before(end); i += soakStreams {
		call := r.call(i)
		got, err := call.do(r.conn)
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

// watch returns the agent's resident memory, in MB, at soakSamples times until the end. Calls have five operations each while they are under way.
func (r *grpcRelay) watch(t *testing.T, end time.Time) []int {
	t.Helper()
	var resident []int
	for pause := time.Until(end) / soakSamples; time.Now().Before(end); {
		time.Sleep(pause)
		if n := operations(t, r.agent.PID); n > 5*soakStreams {
			t.Errorf("%d operations of %d calls are under way", n, soakStreams)
		}
		mb, err := residentMB(r.agent.PID)
		if err != nil {
			t.Fatal(err)
		}
		resident = append(resident, mb)
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
