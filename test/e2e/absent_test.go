package e2e

import (
	"testing"

	"github.com/remora-agent/remora/internal/testenv"
)

// TestAbsentPages: all spans are as ever when the kernel takes the pages of the program's file away before each call, as it does with
// those that were not used for long. BPF programs cannot read what is not present: texts that the program itself has not looked at yet.
func TestAbsentPages(t *testing.T) {
	testenv.RequireRoot(t)
	lost := 0 // pages of targets
	pageOut := func(pid int) { lost += testenv.PageOut(t, pid) }
	provoked := func(t *testing.T) {
		if lost == 0 {
			t.Error("the kernel took no page away")
		}
		lost = 0
	}
	t.Run("HTTP", func(t *testing.T) {
		for _, spec := range []testenv.BuildSpec{{Go: newest(), Stripped: true}, {Go: newest(), Stripped: true, PIE: true}} {
			t.Run(spec.String(), func(t *testing.T) {
				testCalls(t, spec, pageOut)
				provoked(t)
			})
		}
	})
	t.Run("gRPC", func(t *testing.T) {
		testGRPCCalls(t, grpcBuilds()[0], pageOut)
		provoked(t)
	})
	t.Run("SQL", func(t *testing.T) {
		for _, build := range sqlBuilds()[2:4] {
			t.Run(build.String(), func(t *testing.T) {
				mariadb := startMariaDB(t).mysql()
				c := startSQL(t, build, []sqlTarget{mariadb})
				for _, way := range append(sqlWays(), failedWays(mariadb)...) {
					pageOut(c.target.PID)
					c.check(t, mariadb, way)
				}
				provoked(t)
				if n := c.agent.Metric(t, "remora_text_truncated_total"); n != 0 {
					t.Errorf("%v pieces of text were lost", n)
				}
			})
		}
	})
}
