package agent

import (
	"go.uber.org/zap"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/export"
	"github.com/remora-agent/remora/process"
)

const attributesVariable = "OTEL_RESOURCE_ATTRIBUTES"

// warnOwnAttributes says that the agent's own OTEL_RESOURCE_ATTRIBUTES are malformed, which discards them for all targets.
func (a *Agent) warnOwnAttributes() {
	if _, err := export.ParseResourceAttributes(a.cfg.Getenv(attributesVariable)); err != nil {
		a.cfg.Log.Warn("the agent's resource attributes are discarded, all of them", zap.Error(err))
	}
}

// warnEnvironment says what of a target's environment cannot be used. That environments cannot be read is said of the first.
func (a *Agent) warnEnvironment(p process.Process) {
	if a.targets.find(p) == nil {
		return
	}
	log := a.cfg.Log.With(zap.Int("pid", p.PID), zap.String("exe", p.Exe))
	if p.EnvDenied && !a.missed.environment {
		a.missed.environment = true
		log.Warn("OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES of programs are not seen where their environment cannot be read (said once)",
			zap.Error(bpf.Probe().Environments()))
	}
	value := p.Env[attributesVariable]
	if value == a.cfg.Getenv(attributesVariable) {
		return // inherited from us or from the same place: said at the start
	}
	if _, err := export.ParseResourceAttributes(value); err != nil {
		log.Warn("the process's resource attributes are discarded, all of them", zap.Error(err))
	}
}
