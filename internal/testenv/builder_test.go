package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestServeBuilds asks for a program that is not in the cache, and for one that cannot be built.
func TestServeBuilds(t *testing.T) {
	requests := t.TempDir()
	t.Setenv(BuildsVariable, requests)
	ServeBuilds(t, requests)
	for _, c := range []struct{ name, source, err string }{
		{name: "good", source: "package main\n\nfunc main() { println(`built`) }\n"},
		{name: "bad", source: "package main\n\nfunc main() { undefined() }\n", err: "undefined: undefined"},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := BuildSpec{Dir: filepath.Join(t.TempDir(), c.name)}
			write(t, filepath.Join(spec.Dir, "go.mod"), "module "+c.name+"\n\ngo 1.18\n")
			write(t, filepath.Join(spec.Dir, "main.go"), c.source)
			bin := filepath.Join(t.TempDir(), c.name, "program")
			if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
				t.Fatal(err)
			}
			err := spec.have(bin)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(bin).CombinedOutput(); err != nil || string(out) != "built\n" {
				t.Errorf("got %q, %v", out, err)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
