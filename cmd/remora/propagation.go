package main

import (
	"fmt"
	"math"
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

// faults reads the variables by which the tests let something fail in each injection.
func faults(getenv func(string) string) (f bpf.Faults, err error) {
	for _, v := range []struct {
		name string
		most uint32
		to   *uint32
	}{
		{"REMORA_TEST_FAIL_WRITE", bpf.WriteSteps, &f.Write},
		{"REMORA_TEST_FAIL_READ", math.MaxUint32, &f.Read},
		{"REMORA_TEST_FAIL_MESSAGE", math.MaxUint32, &f.Message},
		{"REMORA_TEST_FAIL_PAIR", math.MaxUint32, &f.Pair},
	} {
		text := getenv(v.name)
		if text == "" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil || uint32(n) > v.most {
			return bpf.Faults{}, fmt.Errorf("%s=%q: want 0 to %d", v.name, text, v.most)
		}
		*v.to = uint32(n)
	}
	return f, nil
}
