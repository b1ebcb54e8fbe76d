package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel"
	"go.uber.org/zap"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/export"
	"github.com/remora-agent/remora/internal/agent"
	"github.com/remora-agent/remora/process"
)

func agentCommand() *cobra.Command {
	var exe, pids []string
	var listen string
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Trace programs until stopped",
		Long: `Trace every process that matches, those that run and those that start later, until SIGINT or SIGTERM; a second one lets go of spans that cannot be sent.

Where traces go is said by the OpenTelemetry variables: OTEL_TRACES_EXPORTER (otlp, console, none; default otlp),
OTEL_EXPORTER_OTLP_ENDPOINT (default http://localhost:4318), OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER and so on.
docs/configuration.md lists them all.`,
		Example: "  remora agent --exe /usr/bin/server --exe '/opt/shop/bin/*'\n  remora agent --pid 4711",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			selector, err := process.ParseSelector(
				orList(exe, "OTEL_GO_AUTO_TARGET_EXE"), orList(pids, "OTEL_GO_AUTO_TARGET_PID"))
			if err != nil {
				return err
			}
			if len(selector.Exe)+len(selector.PIDs) == 0 {
				return errors.New("no target: name one with --exe PATH-OR-GLOB or --pid N (or OTEL_GO_AUTO_TARGET_EXE, OTEL_GO_AUTO_TARGET_PID)")
			}
			cfg, err := config("otlp", listen)
			if err != nil || cfg.Export.Disabled {
				return err
			}
			cfg.Selector = selector
			for _, pid := range selector.PIDs {
				if _, err := process.NewFS(cfg.ProcRoot).Process(pid); err != nil {
					return fmt.Errorf("cannot trace process %d: %w", pid, err)
				}
			}
			a, err := agent.New(cfg)
			if err != nil {
				return err
			}
			ctx, stop := context.WithCancel(cmd.Context())
			defer stop()
			signals := make(chan os.Signal, 2)
			signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
			defer signal.Stop(signals)
			go func() {
				<-signals
				stop()
				<-signals
				a.Hurry()
			}()
			return a.Run(ctx)
		},
	}
	cmd.Flags().StringArrayVar(&exe, "exe", nil, "trace this `program`: a path or glob, or a name without slash; repeatable")
	cmd.Flags().StringArrayVar(&pids, "pid", nil, "trace the process with this `ID`; repeatable")
	listenFlag(cmd, &listen, "127.0.0.1:9465")
	return cmd
}

func listenFlag(cmd *cobra.Command, listen *string, standard string) {
	if s := os.Getenv("REMORA_LISTEN"); s != "" {
		standard = s
	}
	cmd.Flags().StringVar(listen, "listen", standard, "`address` of /metrics, /healthz and /readyz, or none; also REMORA_LISTEN")
}

// orList is the flag's values, else the variable's, which are separated by commas.
func orList(flag []string, variable string) []string {
	s := os.Getenv(variable)
	if len(flag) > 0 || s == "" {
		return flag
	}
	list := strings.Split(s, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// config is what agent and run have in common.
func config(exporters, listen string) (agent.Config, error) {
	log, err := logger()
	if err != nil {
		return agent.Config{}, err
	}
	cfg := agent.Config{
		ProcRoot: "/proc", Interval: 250 * time.Millisecond, Version: version, Getenv: os.Getenv, Listen: listen, Log: log,
	}
	if listen == "none" {
		cfg.Listen = ""
	}
	// The OTLP clients read endpoints again by rules of their own, and write to stderr what they dislike in valid ones.
	otel.SetLogger(logr.Discard())
	if cfg.Export, err = export.ConfigFromEnv(os.Getenv, exporters); err != nil {
		return agent.Config{}, err
	}
	if cfg.Sampler, err = export.SamplerFromEnv(os.Getenv); err != nil {
		return agent.Config{}, err
	}
	if cfg.Export.Disabled {
		log.Info("disabled by OTEL_SDK_DISABLED")
		return cfg, nil
	}
	warnIgnored(os.Environ(), cfg.Sampler, log)
	kernel := bpf.Probe()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // a neighbour of the programs that it traces: memory before CPU
	}
	cfg.Kernel = agent.Kernel{
		UprobeMulti: kernel.UprobeMulti() == nil, AttachCookie: kernel.AttachCookie() == nil, RegisterWrites: kernel.RegisterWrites() == nil,
	}
	if cfg.Operations, err = operations(os.Getenv); err != nil {
		return agent.Config{}, err
	}
	wanted, err := propagation(os.Getenv, log)
	if err != nil {
		return agent.Config{}, err
	}
	if cfg.Faults, err = faults(os.Getenv); err != nil {
		return agent.Config{}, err
	}
	if err := kernel.BPF(); err != nil {
		return agent.Config{}, err
	}
	if err := kernel.RingBuffer(); err != nil {
		return agent.Config{}, err
	}
	if err := injection(os.Getenv, kernel, wanted, &cfg); err != nil {
		return agent.Config{}, err
	}
	if !cfg.Kernel.UprobeMulti { // else uprobes by perf events, which take more privileges, are not needed
		return cfg, kernel.Uprobes()
	}
	return cfg, nil
}

// operations reads REMORA_MAX_OPERATIONS.
func operations(getenv func(string) string) (int, error) {
	const standard, least, most = 4096, 64, 1 << 20
	text := getenv("REMORA_MAX_OPERATIONS")
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("REMORA_MAX_OPERATIONS=%q: want a number from %d to %d", text, least, most)
	}
	return n, nil
}

// logger writes to stderr: for people to a terminal, else JSON. OTEL_LOG_LEVEL sets the level.
func logger() (*zap.Logger, error) {
	cfg := zap.NewProductionConfig()
	cfg.Sampling = nil
	cfg.DisableCaller, cfg.DisableStacktrace = true, true
	cfg.EncoderConfig.TimeKey = "time"
	cfg.EncoderConfig.EncodeTime = zapTime
	if terminal(os.Stderr) {
		cfg.Encoding = "console"
	}
	if s := os.Getenv("OTEL_LOG_LEVEL"); s != "" {
		level, err := zap.ParseAtomicLevel(s)
		if err != nil || level.Level() > zap.ErrorLevel { // beyond are levels at which Remora says nothing
			return nil, fmt.Errorf("OTEL_LOG_LEVEL=%q: want debug, info, warn or error", s)
		}
		cfg.Level = level
	}
	return cfg.Build()
}
