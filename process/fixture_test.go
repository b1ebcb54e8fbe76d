package process

import (
	"testing"

	"github.com/remora-agent/remora/internal/testenv"
)

// buildSpec says how to build the program in testdata/webserver.
type buildSpec = testenv.BuildSpec

// goVersions are the toolchains that the fixtures are built with; -short leaves
// out those whose tables have the form of their neighbours'.
func goVersions() []string {
	if testing.Short() {
		return []string{"1.18.10", "1.21.13", "1.24.13", "1.26.8", "1.27.4"}
	}
	return []string{"1.18.10", "1.19.13", "1.20.14", "1.21.13", "1.22.12", "1.23.12", "1.24.13", "1.25.8", "1.26.8", "1.27.4"}
}

// stripped is the same build without symbols and DWARF.
func stripped(s buildSpec) buildSpec {
	s.Stripped = true
	return s
}

// buildFixture returns the path of the program built as told.
func buildFixture(t testing.TB, s buildSpec) string {
	t.Helper()
	s.Dir = "testdata/webserver"
	s.Trimpath = true // so that a stripped build has the same code
	return testenv.Build(t, s)
}

// openFixture builds and opens a fixture for the length of the test.
func openFixture(t testing.TB, s buildSpec) *Binary {
	t.Helper()
	return openBinary(t, buildFixture(t, s))
}

func openBinary(t testing.TB, path string) *Binary {
	t.Helper()
	b, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}
