package e2e

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/remora-agent/remora/internal/testenv"
)

// TestSampledAsTheSDK: of 10,000 trace IDs, the kernel samples exactly those that the SDK's sampler does.
func TestSampledAsTheSDK(t *testing.T) {
	testenv.RequireRoot(t)
	bin := httpServer(t, testenv.BuildSpec{Go: newest(), Stripped: true})
	for _, ratio := range []float64{0.1, 1.0 / 3} {
		t.Run(fmt.Sprint(ratio), func(t *testing.T) {
			sink := testenv.NewSink(t)
			target := testenv.StartTarget(t, bin, nil)
			agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", strconv.Itoa(target.PID)}, Env: []string{
				"OTEL_TRACES_SAMPLER=traceidratio", fmt.Sprint("OTEL_TRACES_SAMPLER_ARG=", ratio), "OTEL_BSP_MAX_QUEUE_SIZE=65536",
			}})
			agent.WaitTraced(t, target.PID)
			ids := traceIDs(ratio, 10000)
			sendTraceIDs(t, target, ids)
			sampled := map[trace.TraceID]bool{}
			for _, id := range ids {
				if sdkSamples(ratio, id) {
					sampled[id] = true
				}
			}
			testenv.Eventually(t, testenv.Patient(20*time.Second), "all requests are over", func() bool {
				return sink.Len()+int(agent.Metric(t, "remora_operations_unsampled_total")) >= len(ids)
			})
			spans := sink.Spans()
			for _, s := range spans {
				if id := trace.TraceID(s.TraceId); !sampled[id] {
					t.Errorf("trace %v has a span, the SDK does not sample it, or it comes twice", id)
				} else {
					delete(sampled, id)
				}
			}
			for id := range sampled {
				t.Errorf("trace %v has no span, the SDK samples it", id)
			}
		})
	}
}

// traceIDs returns n different IDs: those around the limit of the ratio, and random ones.
func traceIDs(ratio float64, n int) []trace.TraceID {
	random := rand.New(rand.NewPCG(1, 2))
	limit := uint64(ratio*(1<<63)) << 1 // the last bit does not count
	ends := []uint64{0, 1, limit - 2, limit - 1, limit, limit + 1, limit + 2, 1<<63 - 1, 1 << 63, 1<<64 - 1}
	ids := make([]trace.TraceID, n)
	for i := range ids {
		end := random.Uint64()
		if i < len(ends) {
			end = ends[i]
		}
		binary.BigEndian.PutUint64(ids[i][:8], random.Uint64())
		binary.BigEndian.PutUint64(ids[i][8:], end)
	}
	return ids
}

func sdkSamples(ratio float64, id trace.TraceID) bool {
	p := sdktrace.SamplingParameters{TraceID: id}
	return sdktrace.TraceIDRatioBased(ratio).ShouldSample(p).Decision == sdktrace.RecordAndSample
}

// sendTraceIDs sends one request with each ID, as a parent that says "not sampled": this sampler does not ask it.
func sendTraceIDs(t *testing.T, target *testenv.Target, ids []trace.TraceID) {
	t.Helper()
	const batch = 50
	conn := dialKeepAlive(t, target)
	for len(ids) > 0 {
		var requests strings.Builder
		n := min(batch, len(ids))
		for _, id := range ids[:n] {
			requests.WriteString(keepAlive("GET", "/silent", fmt.Sprintf("Traceparent: 00-%s-%s-00", id, remoteSpan)))
		}
		ids = ids[n:]
		if _, err := io.WriteString(conn, requests.String()); err != nil {
			t.Fatal(err)
		}
		for range n {
			resp, err := http.ReadResponse(conn.answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
	}
}
