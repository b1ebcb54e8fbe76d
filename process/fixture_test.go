package process

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// buildSpec says how to build the program in testdata/webserver.
type buildSpec struct {
	Go       string // toolchain version
	Arch     string // GOARCH, "" for this machine's
	Mode     string // -buildmode
	LDFlags  string
	External bool // cgo and the system's linker

	Experiment string // GOEXPERIMENT
}

func (s buildSpec) String() string {
	name := "go" + s.Go
	for _, part := range []string{s.Arch, s.Mode, strings.ReplaceAll(s.LDFlags, " ", ""), s.Experiment} {
		if part != "" {
			name += "," + part
		}
	}
	if s.External {
		name += ",external"
	}
	return name
}

// goVersions are the toolchains that the fixtures are built with; -short leaves
// out those whose tables have the form of their neighbours'.
func goVersions() []string {
	if testing.Short() {
		return []string{"1.18.10", "1.21.13", "1.24.13", "1.26.8", "1.27.4"}
	}
	return []string{"1.18.10", "1.19.13", "1.20.14", "1.21.13", "1.22.12", "1.23.12", "1.24.13", "1.25.8", "1.26.8", "1.27.4"}
}

// buildFixture returns the path of the program built as told. Builds are kept
// in the user's cache directory, named by a hash of source and options.
func buildFixture(t testing.TB, s buildSpec) string {
	t.Helper()
	const source = "testdata/webserver"
	hash := sha256.New()
	fmt.Fprintf(hash, "%#v", s)
	for _, name := range []string{"main.go", "cgo.go", "go.mod"} {
		contents, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			t.Fatal(err)
		}
		hash.Write(contents)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cache, "remora", "fixtures", "webserver-"+hex.EncodeToString(hash.Sum(nil)[:8]))
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	unfinished := fmt.Sprintf("%s.%d", path, os.Getpid())
	flags, cgo := s.LDFlags, "0"
	if s.External {
		flags, cgo = flags+" -linkmode=external", "1"
	}
	mode := s.Mode
	if mode == "" {
		mode = "exe"
	}
	build := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-buildmode="+mode, "-ldflags="+flags, "-o", unfinished, ".")
	build.Dir = source
	build.Env = append(os.Environ(), "GOTOOLCHAIN=go"+s.Go, "GOFLAGS=", "CGO_ENABLED="+cgo, "GOARCH="+s.Arch, "GOEXPERIMENT="+s.Experiment)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the fixture %v: %v\n%s", s, err, out)
	}
	if err := os.Rename(unfinished, path); err != nil {
		t.Fatal(err)
	}
	return path
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
