package real

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/remora-agent/remora/internal/plan"
	"github.com/remora-agent/remora/internal/testenv"
	"github.com/remora-agent/remora/probes/all"
	"github.com/remora-agent/remora/process"
)

// TestMemory: the analysis of a program of 107 MB needs no more than 64 MB at its peak, remora's own code included.
func TestMemory(t *testing.T) {
	cmd := exec.Command(testenv.Remora(t), "inspect", "--json", large.executable(t))
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		t.Fatal("the system does not say what the process used")
	}
	t.Logf("peak of %d KB", usage.Maxrss)
	if usage.Maxrss > 64<<10 {
		t.Errorf("the peak is %d KB, more than 64 MB", usage.Maxrss)
	}
}

// BenchmarkAnalyse plans all probes for a large program, and reports the time as a multiple (x-read) of that which reading the
// file once takes, from the page cache, and that on the CPU, which does not grow when others use the machine.
func BenchmarkAnalyse(b *testing.B) {
	path := large.executable(b)
	size := readOnce(b, path)
	var reading, cpu time.Duration
	for b.Loop() {
		b.StopTimer() // in turn, so that both see the same machine
		start := time.Now()
		readOnce(b, path)
		reading += time.Since(start)
		before := cpuTime(b)
		b.StartTimer()
		analyse(b, path)
		cpu += cpuTime(b) - before
	}
	b.ReportMetric(float64(b.Elapsed())/float64(reading), "x-read")
	b.ReportMetric(float64(cpu.Milliseconds())/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(size)/1e6, "MB")
}

// cpuTime returns what the process has used of the CPUs.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func readOnce(b *testing.B, path string) (size int) {
	contents, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	return len(contents)
}

func analyse(b *testing.B, path string) {
	binary, err := process.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer binary.Close()
	plan.All(binary, all.Probes())
}
