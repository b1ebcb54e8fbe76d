package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// metrics serves /metrics, /healthz and /readyz. Counters are read from where they are counted when somebody asks.
type metrics struct {
	agent    *Agent
	registry *prometheus.Registry
	latency  *prometheus.HistogramVec
	ready    atomic.Bool
	server   *http.Server

	exportedSpans, dropped, unsampled, truncated, absent, headers, notInjected *prometheus.Desc
	targets, attached, missing, ringFill, queued                               *prometheus.Desc
}

func newMetrics(a *Agent) *metrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("remora_"+name, help, labels, nil)
	}
	m := &metrics{
		agent:    a,
		registry: prometheus.NewRegistry(),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "remora_export_duration_seconds", Help: "Time to hand a batch of spans to an exporter, retries included.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}, []string{"exporter"}),
		exportedSpans: desc("spans_exported_total", "Spans that an exporter took.", "exporter"),
		dropped:       desc("spans_dropped_total", "Spans that were lost, by reason.", "reason"),
		unsampled:     desc("operations_unsampled_total", "Operations that the sampler left out."),
		truncated:     desc("text_truncated_total", "Pieces of text that were cut, or could not be read."),
		absent:        desc("pages_fetched_total", "Pages of targets that were not present when something was to be read there."),
		headers:       desc("headers_unsearched_total", "Header maps too large to search whole."),
		notInjected:   desc("propagation_failed_total", "Requests that went out without trace context, by reason.", "reason"),
		targets:       desc("targets", "Processes that are traced."),
		attached:      desc("target_probes_attached", "Probes that are attached.", "pid", "executable"),
		missing:       desc("target_probes_missing", "Probes, or parts of them, that could not be attached.", "pid", "executable"),
		ringFill:      desc("ring_fill_ratio", "Share of the ring buffer that waits to be read."),
		queued:        desc("export_queue_spans", "Spans that wait to be exported."),
	}
	m.registry.MustRegister(m, m.latency, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Describe is prometheus.Collector's.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect is prometheus.Collector's.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	a := m.agent
	if a.pipeline == nil || a.reader == nil {
		return // still starting
	}
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, n float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
	}
	stats := a.pipeline.Stats()
	for exporter, n := range stats.Exported {
		counter(m.exportedSpans, n, exporter)
	}
	if l, err := a.runtime.Losses(); err != nil {
		ch <- prometheus.NewInvalidMetric(m.dropped, err)
	} else {
		for reason, n := range a.dropped(l) {
			counter(m.dropped, n, reason)
		}
		counter(m.unsampled, l.Unsampled)
		counter(m.truncated, l.Truncated+a.counters.unread.Load())
		counter(m.absent, a.counters.absent.Load())
		counter(m.headers, l.Headers)
		counter(m.notInjected, l.NoRoom, "no_room")
		counter(m.notInjected, l.HeaderShare, "shared_header")
		counter(m.notInjected, l.OtherWriter, "unknown_writer")
		counter(m.notInjected, l.WriteFault, "memory_unwritable")
		counter(m.notInjected, l.Preempted, "preempted")
	}
	gauge(m.ringFill, a.reader.Fill())
	gauge(m.queued, float64(stats.Queued))
	running := a.targets.running()
	for _, t := range running {
		pid := strconv.Itoa(t.process.PID)
		gauge(m.attached, float64(t.attached), pid, t.process.Exe)
		gauge(m.missing, float64(t.missing), pid, t.process.Exe)
	}
	gauge(m.targets, float64(len(running)))
}

func (m *metrics) exported(exporter string, d time.Duration) {
	m.latency.WithLabelValues(exporter).Observe(d.Seconds())
}

// listen serves on addr; "" is for nothing.
func (m *metrics) listen(addr string) error {
	if addr == "" {
		return nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("cannot serve metrics on %s: %w (choose another address with --listen or REMORA_LISTEN, or none)", addr, err)
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !m.ready.Load() {
			http.Error(w, "starting", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	m.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := m.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			m.agent.cfg.Log.Error("the metrics server ended", zap.Error(err))
		}
	}()
	return nil
}

func (m *metrics) close() error {
	if m.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // a scraper that does not read is left behind
	defer cancel()
	if m.server.Shutdown(ctx) == nil {
		return nil
	}
	return m.server.Close()
}
