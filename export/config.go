package export

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Names of the exporters, as OTEL_TRACES_EXPORTER spells them.
const (
	exporterOTLP    = "otlp"
	exporterConsole = "console"
	exporterNone    = "none"
)

// Defaults that are not the specification's. One agent serves many processes, so its queue and its batches are larger than
// an SDK's; and someone who has just started it wants to see spans within a second.
const (
	defaultScheduleDelay = 1000 // milliseconds; specified: 5000
	defaultExportTimeout = 30000
	defaultMaxQueueSize  = 16384 // spans; specified: 2048
	defaultMaxBatchSize  = 1024  // spans; specified: 512
)

// Config says where spans go and how they are batched. [ConfigFromEnv] makes it.
type Config struct {
	Disabled      bool          // OTEL_SDK_DISABLED=true: nothing is exported
	Exporters     []string      // "otlp", "console", each at most once; empty: every span is let go
	ScheduleDelay time.Duration // a span waits at most this long for its batch to fill
	ExportTimeout time.Duration // one batch has this long to be sent, retries included
	MaxQueueSize  int           // spans that wait, for each exporter; more are dropped and counted
	MaxBatchSize  int           // spans in one upload, at most MaxQueueSize

	otlp otlpConfig // set when Exporters has "otlp"
}

// Endpoint is where OTLP spans are sent, for messages; empty without the otlp exporter.
func (c Config) Endpoint() string { return c.otlp.endpoint }

// ConfigFromEnv reads the configuration from the OpenTelemetry environment variables. defaultExporters stands in for an
// unset OTEL_TRACES_EXPORTER. Any value that would not be honoured is an error that names the variable, the value and what
// is allowed; the files that OTLP settings name are read, so that a wrong path is found here and not at the first upload.
//
// getenv must agree with the process environment: the OTLP client itself reads its headers and compression there.
func ConfigFromEnv(getenv func(string) string, defaultExporters string) (Config, error) {
	var cfg Config
	disabled := strings.TrimSpace(getenv("OTEL_SDK_DISABLED"))
	switch strings.ToLower(disabled) {
	case "true":
		return Config{Disabled: true}, nil
	case "", "false":
	default:
		return Config{}, fmt.Errorf("cannot use OTEL_SDK_DISABLED=%q (use true or false)", disabled)
	}

	var err error
	if cfg.Exporters, err = exportersFromEnv(getenv, defaultExporters); err != nil {
		return Config{}, err
	}
	for _, setting := range []struct {
		name     string
		fallback int
		apply    func(int)
	}{
		{"OTEL_BSP_SCHEDULE_DELAY", defaultScheduleDelay, func(n int) { cfg.ScheduleDelay = milliseconds(n) }},
		{"OTEL_BSP_EXPORT_TIMEOUT", defaultExportTimeout, func(n int) { cfg.ExportTimeout = milliseconds(n) }},
		{"OTEL_BSP_MAX_QUEUE_SIZE", defaultMaxQueueSize, func(n int) { cfg.MaxQueueSize = n }},
		{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", defaultMaxBatchSize, func(n int) { cfg.MaxBatchSize = n }},
	} {
		n, err := positiveFromEnv(getenv, setting.name, setting.fallback)
		if err != nil {
			return Config{}, err
		}
		setting.apply(n)
	}
	cfg.MaxBatchSize = min(cfg.MaxBatchSize, cfg.MaxQueueSize)

	if slices.Contains(cfg.Exporters, exporterOTLP) {
		if cfg.otlp, err = otlpConfigFromEnv(getenv); err != nil {
			return Config{}, err
		}
	}
	return cfg, nil
}

// exportersFromEnv reads OTEL_TRACES_EXPORTER, a comma-separated list.
func exportersFromEnv(getenv func(string) string, fallback string) ([]string, error) {
	const variable = "OTEL_TRACES_EXPORTER"
	list := strings.TrimSpace(getenv(variable))
	if list == "" {
		list = fallback
	}
	var exporters []string
	for name := range strings.SplitSeq(list, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		switch name {
		case exporterOTLP, exporterConsole, exporterNone:
		default:
			return nil, fmt.Errorf("cannot use %s=%q: no exporter %q (use otlp, console, both separated by a comma, or none)",
				variable, list, name)
		}
		if !slices.Contains(exporters, name) {
			exporters = append(exporters, name)
		}
	}
	if !slices.Contains(exporters, exporterNone) {
		return exporters, nil
	}
	if len(exporters) > 1 {
		return nil, fmt.Errorf("cannot use %s=%q: none excludes all others", variable, list)
	}
	return nil, nil
}

// positiveFromEnv reads a whole number greater than zero.
func positiveFromEnv(getenv func(string) string, name string, fallback int) (int, error) {
	value := strings.TrimSpace(getenv(name))
	if value == "" {
		return fallback, nil
	}
	// 31 bits keep milliseconds within time.Duration and queue sizes within what a machine can hold.
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("cannot use %s=%q (use a whole number greater than 0)", name, value)
	}
	return int(n), nil
}

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }
