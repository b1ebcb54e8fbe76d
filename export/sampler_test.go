package export

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// envOf returns a getenv of the given variables.
func envOf(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

func TestSamplerFromEnv(t *testing.T) {
	tests := []struct {
		sampler, arg string
		want         Sampler
		err          string
	}{
		{"", "", Sampler{Root: AlwaysOn, ParentBased: true}, ""},
		{" Always_On ", "0.5", Sampler{Root: AlwaysOn}, ""},
		{"always_off", "", Sampler{Root: AlwaysOff}, ""},
		{"traceidratio", "", Sampler{Root: Ratio, Threshold: 1 << 63}, ""},
		{"traceidratio", "0.25", Sampler{Root: Ratio, Threshold: 1 << 61}, ""},
		{"traceidratio", "0", Sampler{Root: Ratio}, ""},
		{"parentbased_always_on", "", Sampler{Root: AlwaysOn, ParentBased: true}, ""},
		{"parentbased_always_off", "", Sampler{Root: AlwaysOff, ParentBased: true}, ""},
		{"parentbased_traceidratio", "1", Sampler{Root: Ratio, ParentBased: true, Threshold: 1 << 63}, ""},
		{"jaeger_remote", "", Sampler{}, `cannot use OTEL_TRACES_SAMPLER="jaeger_remote" (use always_on, `},
		{"traceidratio", "half", Sampler{}, `cannot use OTEL_TRACES_SAMPLER_ARG="half" (use a number from 0 to 1)`},
		{"traceidratio", "1.01", Sampler{}, `cannot use OTEL_TRACES_SAMPLER_ARG="1.01"`},
		{"traceidratio", "-0.1", Sampler{}, `cannot use OTEL_TRACES_SAMPLER_ARG="-0.1"`},
		{"traceidratio", "NaN", Sampler{}, `cannot use OTEL_TRACES_SAMPLER_ARG="NaN"`},
	}
	for _, tt := range tests {
		got, err := SamplerFromEnv(envOf(map[string]string{"OTEL_TRACES_SAMPLER": tt.sampler, "OTEL_TRACES_SAMPLER_ARG": tt.arg}))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tt.sampler, tt.arg, diff)
		}
		if (err == nil) != (tt.err == "") || err != nil && !strings.HasPrefix(err.Error(), tt.err) {
			t.Errorf("%s %s: error %v, want %q", tt.sampler, tt.arg, err, tt.err)
		}
	}
}

// TestSamplerAgreesWithSDK holds every policy to OpenTelemetry's SDK for Go.
func TestSamplerAgreesWithSDK(t *testing.T) {
	policies := []struct {
		ours string
		arg  string
		sdk  sdktrace.Sampler
	}{
		{"always_on", "", sdktrace.AlwaysSample()},
		{"always_off", "", sdktrace.NeverSample()},
		{"traceidratio", "0", sdktrace.TraceIDRatioBased(0)},
		{"traceidratio", "0.1", sdktrace.TraceIDRatioBased(0.1)},
		{"traceidratio", "0.5", sdktrace.TraceIDRatioBased(0.5)},
		{"traceidratio", "0.9999999999999999", sdktrace.TraceIDRatioBased(0.9999999999999999)},
		{"traceidratio", "1", sdktrace.TraceIDRatioBased(1)},
		{"parentbased_always_on", "", sdktrace.ParentBased(sdktrace.AlwaysSample())},
		{"parentbased_always_off", "", sdktrace.ParentBased(sdktrace.NeverSample())},
		{"parentbased_traceidratio", "0.3", sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.3))},
	}
	yes, no := true, false
	parents := []struct {
		flag *bool
		ctx  trace.SpanContextConfig
	}{
		{nil, trace.SpanContextConfig{}},
		{&yes, trace.SpanContextConfig{SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled, Remote: true}},
		{&no, trace.SpanContextConfig{SpanID: trace.SpanID{1}, Remote: true}},
	}
	random := rand.New(rand.NewPCG(1, 2))
	ids := [][16]byte{{}, {15: 1}, {0: 0xff}, {8: 0x7f}, {8: 0x80}}
	for len(ids) < 10000 {
		var id [16]byte
		for i := range id {
			id[i] = byte(random.Uint32())
		}
		ids = append(ids, id)
	}
	for _, policy := range policies {
		ours, err := SamplerFromEnv(envOf(map[string]string{"OTEL_TRACES_SAMPLER": policy.ours, "OTEL_TRACES_SAMPLER_ARG": policy.arg}))
		if err != nil {
			t.Fatal(err)
		}
		for _, parent := range parents {
			for _, id := range ids {
				sc := parent.ctx
				sc.TraceID = id
				if parent.flag != nil && id == ([16]byte{}) {
					continue // no parent has this ID
				}
				ctx := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(sc))
				want := policy.sdk.ShouldSample(sdktrace.SamplingParameters{ParentContext: ctx, TraceID: id}).Decision
				if got := ours.Sample(id, parent.flag); got != (want == sdktrace.RecordAndSample) {
					t.Fatalf("%s %s: ID %x, parent %v: %t, the SDK says %v", policy.ours, policy.arg, id, parent.flag, got, want)
				}
			}
		}
	}
}
