package process_test

import (
	"github.com/remora-agent/remora/internal/plan"
	"github.com/remora-agent/remora/probes/all"
	"github.com/remora-agent/remora/process"
)

func init() { process.MakePlans = func(b *process.Binary) { plan.All(b, all.Probes()) } }
