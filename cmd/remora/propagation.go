package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/agent"
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

// injection says how trace context comes into requests if that is wanted: REMORA_INJECT (auto, steer, write or none).
func injection(getenv func(string) string, kernel bpf.Kernel, wanted bool, cfg *agent.Config) error {
	has, cannot, err := kernel.Mechanisms(getenv("REMORA_INJECT"))
	if err != nil {
		return fmt.Errorf("REMORA_INJECT: %w", err)
	}
	if wanted {
		cfg.Inject, cfg.CannotInject = has, cannot
	}
	return nil
}

// failure reads a variable by which the tests let something fail in each injection, see bpf.Options.
func failure(getenv func(string) string, name string, most uint32) (uint32, error) {
	text := getenv(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || uint32(n) > most {
		return 0, fmt.Errorf("%s=%q: want 0 to %d", name, text, most)
	}
	return uint32(n), nil
}
