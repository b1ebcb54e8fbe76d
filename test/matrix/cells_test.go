package matrix

import (
	"testing"

	"github.com/remora-agent/remora/internal/testenv"
)

// versions are the versions of Go that the fixture is built with.
var versions = []string{
	"1.18.10", "1.19.13", "1.20.14", "1.21.13", "1.22.12", "1.23.12", "1.24.13", "1.25.8", "1.26.8", newest,
}

const newest = "1.27.4"

// cell is one build, and its twin: the same code with symbols and DWARF.
type cell struct{ spec, twin testenv.BuildSpec }

// cells are all versions in all forms, for arm64 those at which tables changed, and one with a profile.
func cells() []cell {
	var all []cell
	for _, version := range versions {
		of := testenv.BuildSpec{Dir: "testdata/libraries", Go: version, Trimpath: true}
		pie, external := of, of
		pie.PIE = true
		external.External = true
		all = append(all, cell{of, of}, stripped(of), stripped(pie), stripped(external))
	}
	for _, version := range []string{"1.26.8", newest} { // with versions of libraries that older ones cannot build
		of := testenv.BuildSpec{Dir: "testdata/libraries", Go: version, Trimpath: true, ModFile: "new.mod"}
		pie := of
		pie.PIE = true
		all = append(all, cell{of, of}, stripped(of), stripped(pie))
	}
	for _, version := range []string{"1.18.10", "1.21.13", "1.24.13", newest} {
		of := testenv.BuildSpec{Dir: "testdata/libraries", Go: version, Arch: "arm64", Trimpath: true}
		pie := of
		pie.PIE = true
		all = append(all, stripped(of), stripped(pie))
	}
	profiled := testenv.BuildSpec{Dir: "testdata/libraries", Go: newest, Trimpath: true, Hot: testenv.HotServer(27)}
	return append(all, cell{profiled, profiled}, stripped(profiled))
}

func stripped(twin testenv.BuildSpec) cell {
	spec := twin
	spec.Stripped = true
	return cell{spec, twin}
}

// build returns the paths of both executables.
func (c cell) build(t testing.TB) (path, twin string) {
	t.Helper()
	return testenv.Build(t, c.spec), testenv.Build(t, c.twin)
}
