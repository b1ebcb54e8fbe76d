package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/remora-agent/remora/export"
)

func TestWarnIgnored(t *testing.T) {
	env := []string{
		"REMORA_LISTEN=none", "REMORA_TEST_FAIL_READ=1", "OTEL_TRACES_SAMPLER_ARG=abc", "PATH=/bin", "REMORA_EMPTY=",
		"REMORA_SERVICE_HOST=10.0.0.1", "REMORA_PORT=tcp://10.0.0.1:9465", "REMORA_METRICS_SERVICE_PORT=1", "REMORA_PORT_9465_TCP_ADDR=10.0.0.1",
		"REMORA_MAX_OPERATION=9", "REMORA_INJCT=steer", "remora_inject=steer",
	}
	const argument = "OTEL_TRACES_SAMPLER_ARG abc"
	unknown := []string{"a REMORA_MAX_OPERATION ", "a REMORA_INJCT "}
	for _, tt := range []struct {
		sampler export.Sampler
		want    []string
	}{
		{export.Sampler{Root: export.AlwaysOn}, append([]string{argument}, unknown...)},
		{export.Sampler{Root: export.Ratio}, unknown},
	} {
		core, logs := observer.New(zapcore.DebugLevel)
		warnIgnored(env, tt.sampler, zap.New(core))
		var got []string
		for _, entry := range logs.All() {
			line, _, _ := strings.Cut(entry.Message, " ")
			for _, field := range entry.Context {
				line += " " + field.String
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Error(diff)
		}
	}
}
