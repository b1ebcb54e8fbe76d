package export

import (
	"net/url"
	"testing"
)

// FuzzConfigFromEnv: any values of the variables are a configuration that can be used, or an error.
func FuzzConfigFromEnv(f *testing.F) {
	f.Add("otlp", "http://localhost:4318", "a=b,c=%20d", "http/protobuf", "512", "parentbased_traceidratio", "0.5")
	f.Add("console,none", "https://[::1]:1/p?q", "=,,=", "grpc", "-1", "traceidratio", "NaN")
	f.Add("\x00", "unix:///x", "a=%zz", "http/json", "99999999999999999999", "always_on", "1e-400")
	f.Fuzz(func(t *testing.T, exporters, endpoint, headers, protocol, number, sampler, argument string) {
		getenv := envOf(map[string]string{
			"OTEL_TRACES_EXPORTER": exporters, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_HEADERS": headers,
			"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_BSP_MAX_QUEUE_SIZE": number, "OTEL_EXPORTER_OTLP_TIMEOUT": number,
			"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument,
		})
		c, err := ConfigFromEnv(getenv, "otlp")
		if err == nil && (c.MaxQueueSize <= 0 || c.MaxBatchSize <= 0) {
			t.Errorf("a queue of %d, batches of %d", c.MaxQueueSize, c.MaxBatchSize)
		}
		if err == nil && c.Endpoint() != "" {
			if _, err := url.Parse(c.Endpoint()); err != nil {
				t.Error(err)
			}
		}
		if s, err := SamplerFromEnv(getenv); err == nil {
			s.Sample([16]byte{15: 1}, nil)
		}
	})
}

func FuzzParseResourceAttributes(f *testing.F) {
	f.Add("a=b,c=%20d")
	f.Add("=,,a=%zz")
	f.Fuzz(func(t *testing.T, value string) {
		attributes, err := ParseResourceAttributes(value)
		if _, nameless := attributes[""]; nameless && err == nil {
			t.Errorf("%q has an attribute without a name", value)
		}
	})
}
