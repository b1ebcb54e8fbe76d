package testenv

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// BuildSpec says which program to build, with which Go and how.
type BuildSpec struct {
	Dir      string // source directory of a main package that is a module of its own
	Go       string // version of the toolchain: "1.26.8"; empty: the one that runs the tests
	Arch     string // GOARCH; empty: this machine's
	Stripped bool   // -trimpath -ldflags "-s -w": neither symbols nor DWARF
	PIE      bool   // -buildmode=pie
	External bool   // cgo and the system's linker
	Trimpath bool   // -trimpath: what Stripped implies, for the same code with symbols and DWARF

	Package     string // import path of a program that Dir's go.mod has; empty: the one in Dir
	ModFile     string // -modfile: another go.mod in Dir, with other versions of libraries
	Tags        string // -tags
	Mode        string // -buildmode if neither an executable nor PIE: "c-shared"
	LinkerFlags string // further -ldflags: "-extldflags=-static-pie"
	Experiment  string // GOEXPERIMENT
	Hot         string // -pgo with a profile in which these calls take all the time, a line "caller callee" each; from Go 1.21
}

// unsafeInName is what String leaves out of linker flags.
var unsafeInName = regexp.MustCompile(`[^A-Za-z0-9,=-]+`)

// String names the build in test names and paths.
func (s BuildSpec) String() string {
	name := "go" + s.Go
	if s.Go == "" {
		name = "go"
	}
	for _, o := range []struct {
		on   bool
		name string
	}{{s.Stripped, "stripped"}, {s.PIE, "pie"}, {s.External, "cgo"}, {s.Trimpath, "trimpath"}, {s.ModFile != "", s.ModFile}, {s.Tags != "", s.Tags}, {s.Arch != "", s.Arch},
		{s.Mode != "", s.Mode}, {s.LinkerFlags != "", unsafeInName.ReplaceAllString(s.LinkerFlags, "")}, {s.Experiment != "", s.Experiment}, {s.Hot != "", "pgo"}} {
		if o.on {
			name += "-" + o.name
		}
	}
	return name
}

// Build returns the path of the built program. Builds are cached by a hash of sources, toolchain and flags below
// os.UserCacheDir()/remora/fixtures, and several test processes may ask for the same one at once. Nobody may change the file:
// copy it first.
func Build(t testing.TB, spec BuildSpec) string {
	t.Helper()
	spec.Arch = cmp.Or(spec.Arch, runtime.GOARCH) // one key, whoever builds it for whom
	key, err := spec.key()
	if err != nil {
		t.Fatalf("hash fixture %s: %v", spec.Dir, err)
	}
	dir, err := cacheDir("fixtures", spec.String()+"-"+key[:16])
	if err != nil {
		t.Fatal(err)
	}
	if spec.Dir, err = filepath.Abs(spec.Dir); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, filepath.Base(cmp.Or(spec.Package, spec.Dir)))
	if err := spec.have(bin); err != nil {
		t.Fatal(err)
	}
	return bin
}

// have makes the program be at bin: built here, or by whom BuildsVariable names.
func (s BuildSpec) have(bin string) error {
	if _, err := os.Stat(bin); err == nil {
		return nil
	}
	if requests := os.Getenv(BuildsVariable); requests != "" {
		return requestBuild(requests, buildRequest{Spec: s, Path: bin})
	}
	return s.buildOnce(bin)
}

// buildOnce builds the program unless another process did meanwhile.
func (s BuildSpec) buildOnce(bin string) error {
	return withLock(filepath.Dir(bin)+".lock", func() error {
		if _, err := os.Stat(bin); err == nil {
			return nil
		}
		return s.build(bin)
	})
}

// build compiles to a temporary name and renames, so that an interrupted build leaves nothing that looks finished.
func (s BuildSpec) build(bin string) error {
	tmp := fmt.Sprintf("%s.%d", bin, os.Getpid())
	defer os.Remove(tmp)
	flags := s.flags()
	if s.Hot != "" {
		profile := tmp + ".pgo"
		defer os.Remove(profile)
		plain := s
		plain.Arch = "amd64" // lines are the same for all
		if err := plain.compile(tmp, flags...); err != nil {
			return err
		}
		if err := writeProfile(profile, tmp, s.Hot); err != nil {
			return fmt.Errorf("make a profile of fixture %s: %w", s.Dir, err)
		}
		flags = append(flags, "-pgo="+profile)
	}
	if err := s.compile(tmp, flags...); err != nil {
		return err
	}
	return os.Rename(tmp, bin)
}

func (s BuildSpec) compile(to string, flags ...string) error {
	cmd := exec.Command("go", append(append([]string{"build", "-o", to}, flags...), cmp.Or(s.Package, "."))...)
	cmd.Dir = s.Dir
	cmd.Env = append(os.Environ(), s.env()...)
	cmd.Env = append(cmd.Env, "GODEBUG=goindex=0") // Go 1.19's index of packages: import "": import of unknown directory
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build fixture %s with %s: %w\n%s", s.Dir, s, err, out)
	}
	return nil
}

func (s BuildSpec) flags() []string {
	var flags []string
	ldflags := []string{}
	if s.Stripped || s.Trimpath {
		flags = append(flags, "-trimpath")
	}
	if s.Stripped {
		ldflags = append(ldflags, "-s", "-w")
	}
	if s.PIE {
		flags = append(flags, "-buildmode=pie")
	}
	if s.ModFile != "" {
		flags = append(flags, "-modfile="+s.ModFile)
	}
	if s.Tags != "" {
		flags = append(flags, "-tags="+s.Tags)
	}
	if s.Mode != "" {
		flags = append(flags, "-buildmode="+s.Mode)
	}
	if s.External {
		ldflags = append(ldflags, "-linkmode=external")
	}
	if s.LinkerFlags != "" {
		ldflags = append(ldflags, s.LinkerFlags)
	}
	if len(ldflags) > 0 {
		flags = append(flags, "-ldflags="+strings.Join(ldflags, " "))
	}
	return flags
}

func (s BuildSpec) env() []string {
	env := []string{"GOWORK=off", "GOFLAGS=-buildvcs=false", "CGO_ENABLED=0", "GOOS=linux"}
	if s.External {
		env[2] = "CGO_ENABLED=1"
	}
	if s.Go != "" {
		env = append(env, "GOTOOLCHAIN=go"+s.Go)
	}
	if s.Arch != "" {
		env = append(env, "GOARCH="+s.Arch)
	}
	if s.Experiment != "" {
		env = append(env, "GOEXPERIMENT="+s.Experiment)
	}
	return env
}

// key hashes everything that the result depends on.
func (s BuildSpec) key() (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, s.flags(), s.env(), s.Hot)
	if s.Package != "" {
		fmt.Fprintln(h, s.Package)
	}
	if s.Go == "" {
		out, err := exec.Command("go", "version").Output()
		if err != nil {
			return "", fmt.Errorf("go version: %w", err)
		}
		h.Write(out)
	}
	err := filepath.WalkDir(s.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintln(h, path[len(s.Dir):], len(data))
		h.Write(data)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// Copy copies a built program into the test's own directory, for tests that replace or watch the file.
func Copy(t testing.TB, bin, name string) string {
	t.Helper()
	data, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
