package vm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// apt asks one suite of Debian for packages of one architecture, by a configuration of its own: the system's is not touched.
type apt struct{ config string }

// newApt prepares dir for a suite: "bookworm", "bullseye-security".
func newApt(dir, suite, arch string) (apt, error) {
	mirror := "http://deb.debian.org/debian"
	if strings.HasSuffix(suite, "-security") {
		mirror += "-security"
	}
	for _, sub := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return apt{}, err
		}
	}
	sources := fmt.Sprintf("deb [signed-by=%s] %s %s main\n", keyring, mirror, suite)
	if err := os.WriteFile(filepath.Join(dir, "sources.list"), []byte(sources), 0o644); err != nil {
		return apt{}, err
	}
	a := apt{config: filepath.Join(dir, "apt.conf")}
	return a, os.WriteFile(a.config, []byte(strings.ReplaceAll(`Dir::Etc::sourcelist "DIR/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "DIR/lists";
Dir::Cache "DIR/cache";
Acquire::Languages "none";
APT::Sandbox::User "root";
APT::Architecture "`+arch+`";
APT::Architectures { "`+arch+`"; };
`, "DIR", dir)), 0o644)
}

// run runs an apt command in dir and returns its output.
func (a apt) run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "APT_CONFIG="+a.config, "LC_ALL=C")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, lastLine(errs.String()))
	}
	return string(out), nil
}

// packages returns the names of the suite's packages that start with prefix, by its newest lists.
func (a apt) packages(ctx context.Context, prefix string) ([]string, error) {
	if _, err := a.run(ctx, "", "apt-get", "update", "-qq"); err != nil {
		return nil, err
	}
	out, err := a.run(ctx, "", "apt-cache", "pkgnames", prefix)
	return strings.Fields(out), err
}

// unpack downloads packages and unpacks them into dir.
func (a apt) unpack(ctx context.Context, dir string, names ...string) error {
	if _, err := a.run(ctx, dir, "apt-get", append([]string{"download", "-qq"}, names...)...); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range debs {
		if _, err := a.run(ctx, dir, "dpkg-deb", "-x", deb, "."); err != nil {
			return err
		}
	}
	return nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
