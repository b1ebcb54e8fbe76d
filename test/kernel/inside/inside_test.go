// Package inside is what test/kernel runs under each kernel, in a virtual machine or, with go test, under this one.
package inside

import (
	"testing"

	"github.com/remora-agent/remora/internal/testenv"
)

// goVersions are those of the fixtures.
func goVersions() []string { return []string{"1.18.10", "1.21.13", "1.24.13", "1.27.4"} }

func newest() string { return goVersions()[len(goVersions())-1] }

// fixture returns the server of the end-to-end tests, without symbols, as most are shipped.
func fixture(t testing.TB, version string) string {
	t.Helper()
	return testenv.Build(t, testenv.BuildSpec{Dir: "../../e2e/testdata/httpserver", Go: version, Stripped: true})
}
