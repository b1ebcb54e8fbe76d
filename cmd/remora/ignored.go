package main

import (
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/remora-agent/remora/export"
)

// ownVariables are all variables that begin with REMORA_, but those of tests.
var ownVariables = []string{"REMORA_LISTEN", "REMORA_MAX_OPERATIONS", "REMORA_INJECT", "REMORA_PROPAGATION"}

// warnIgnored says which variables of the environment have no effect: names that look like ours, and an argument that the sampler does
// not take, which the specification has ignored.
func warnIgnored(environ []string, sampler export.Sampler, log *zap.Logger) {
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		switch {
		case value == "":
		case name == "OTEL_TRACES_SAMPLER_ARG" && sampler.Root != export.Ratio:
			log.Warn("OTEL_TRACES_SAMPLER_ARG is ignored: only traceidratio and parentbased_traceidratio of OTEL_TRACES_SAMPLER take it",
				zap.String("value", value))
		case strings.HasPrefix(name, "REMORA_") && !slices.Contains(ownVariables, name) && !isAnothers(name):
			log.Warn("a variable is ignored: Remora has none of this name", zap.String("variable", name), zap.Strings("known", ownVariables))
		}
	}
}

// isAnothers says whether a variable that begins with our name has its meaning elsewhere: in tests, or where Kubernetes tells of a service that has our
// name too (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
func isAnothers(name string) bool {
	return strings.HasPrefix(name, "REMORA_TEST_") || strings.Contains(name, "_SERVICE_") || strings.Contains(name, "_PORT")
}
