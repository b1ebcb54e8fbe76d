package e2e

import (
	"testing"

	"github.com/remora-agent/remora/internal/testenv"
)

// TestAbsentPages: all spans are as ever when the kernel takes the pages of the program's file away before each call, as it does with
// those that were not used for long. BPF programs cannot read what is not present: texts that the program itself has not looked at yet.
func TestAbsentPages(t *testing.T) {
	testenv.RequireRoot(t)
	pageOut := func(pid int) { testenv.PageOut(t, pid) }
	t.Run("HTTP", func(t *testing.T) {
		for _, spec := range []testenv.BuildSpec{{Go: newest(), Stripped: true}, {Go: newest(), Stripped: true, PIE: true}} {
			t.Run(spec.String(), func(t *testing.T) { testCalls(t, spec, pageOut) })
		}
	})
	t.Run("gRPC", func(t *testing.T) { testGRPCCalls(t, grpcBuilds()[0], pageOut) })
	t.Run("SQL", func(t *testing.T) {
		for _, build := range sqlBuilds()[2:4] {
			t.Run(build.String(), func(t *testing.T) {
				mariadb := startMariaDB(t).mysql()
				c := startSQL(t, build, []sqlTarget{mariadb})
				for _, way := range append(sqlWays(), failedWays(mariadb)...) {
					pageOut(c.target.PID)
					c.check(t, mariadb, way)
				}
				if n := c.agent.Metric(t, "remora_pages_fetched_total"); n == 0 {
					t.Error("the agent found all pages present")
				}
				if n := c.agent.Metric(t, "remora_text_truncated_total"); n != 0 {
					t.Errorf("%v pieces of text were lost", n)
				}
			})
		}
	})
}
