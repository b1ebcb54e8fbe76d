package agent

import (
	"context"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/export"
	"github.com/remora-agent/remora/internal/promtext"
	"github.com/remora-agent/remora/internal/testenv"
	"github.com/remora-agent/remora/process"
)

func newAgent(t *testing.T, listen string) (*Agent, error) {
	t.Helper()
	testenv.RequireRoot(t)
	kernel := bpf.Probe()
	if err := kernel.BPF(); err != nil {
		t.Skip(err)
	}
	exporting, err := export.ConfigFromEnv(func(string) string { return "" }, "none")
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{
		Selector: process.Selector{Exe: []string{"/no/such/program"}},
		ProcRoot: "/proc", Interval: 20 * time.Millisecond, Getenv: func(string) string { return "" },
		Export: exporting, Listen: listen, Log: zap.NewNop(),
		Operations: 100, Kernel: Kernel{UprobeMulti: kernel.UprobeMulti() == nil, AttachCookie: kernel.AttachCookie() == nil},
	})
}

// status returns what an endpoint answers; 0: nothing.
func status(url string) (code int, body string) {
	response, err := http.Get(url)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

// TestEndpoints: healthy from the start, ready when the first look for targets is done, gone at the end.
func TestEndpoints(t *testing.T) {
	addr := testenv.FreeAddr(t)
	a, err := newAgent(t, addr)
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := status("http://" + addr + "/healthz"); code != 200 {
		t.Errorf("/healthz before Run: %d", code)
	}
	if code, _ := status("http://" + addr + "/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("/readyz before Run: %d, want 503", code)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	testenv.Eventually(t, 5*time.Second, "the agent is ready", func() bool {
		code, _ := status("http://" + addr + "/readyz")
		return code == 200
	})
	checkMetrics(t, "http://"+addr+"/metrics")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if code, _ := status("http://" + addr + "/healthz"); code != 0 {
		t.Errorf("/healthz after Run: %d", code)
	}
}

// checkMetrics: the page can be parsed, and each reason for a loss is there from the start, at 0.
func checkMetrics(t *testing.T, url string) {
	page, err := promtext.Read(url)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	reasons := map[string]float64{}
	for _, s := range page {
		names[s.Name] = true
		if s.Name == "remora_spans_dropped_total" {
			reasons[s.Labels["reason"]] += s.Value
		}
	}
	for _, name := range []string{
		"remora_operations_unsampled_total", "remora_text_truncated_total", "remora_headers_unsearched_total",
		"remora_targets", "remora_ring_fill_ratio", "remora_export_queue_spans",
		"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "go_goroutines",
	} {
		if !names[name] {
			t.Errorf("no metric %s", name)
		}
	}
	for _, reason := range []string{"ring_full", "map_full", "memory_unreadable", "unsupported", "decode", "target_unknown", "target_exited"} {
		if n, ok := reasons[reason]; !ok || n != 0 {
			t.Errorf("dropped for %s: %v, %v", reason, n, ok)
		}
	}
}

// TestAddressInUse: the message names the remedy, and nothing stays open.
func TestAddressInUse(t *testing.T) {
	addr := testenv.FreeAddr(t)
	first, err := newAgent(t, addr)
	if err != nil {
		t.Fatal(err)
	}
	before := open(t)
	if _, err := newAgent(t, addr); err == nil {
		t.Error("two agents listen on one address")
	}
	if after := open(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
}

// open counts this process's descriptors.
func open(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
