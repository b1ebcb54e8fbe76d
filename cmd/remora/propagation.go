package main

import (
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"
)

// propagation says whether trace context shall be written into outgoing requests: REMORA_PROPAGATION (tracecontext or none), else
// whether OTEL_PROPAGATORS lists tracecontext.
func propagation(getenv func(string) string, log *zap.Logger) (bool, error) {
	switch own := getenv("REMORA_PROPAGATION"); own {
	case "none":
		return false, nil
	case "tracecontext":
		return true, nil
	case "":
	default:
		return false, fmt.Errorf("REMORA_PROPAGATION=%q: want tracecontext or none", own)
	}
	list := getenv("OTEL_PROPAGATORS")
	if list == "" {
		return true, nil
	}
	names := strings.Split(strings.ReplaceAll(list, " ", ""), ",")
	for _, name := range names {
		if !slices.Contains([]string{"tracecontext", "baggage", "none"}, name) {
			log.Warn("OTEL_PROPAGATORS: only tracecontext can be written into requests", zap.String("ignored", name))
		}
	}
	return slices.Contains(names, "tracecontext"), nil
}
