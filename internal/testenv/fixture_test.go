package testenv

import (
	"debug/elf"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestBuild(t *testing.T) {
	src := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module tiny\n\ngo 1.18\n", "main.go": "package main\n\nfunc main() {}\n"} {
		if err := os.WriteFile(filepath.Join(src, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	plain := Build(t, BuildSpec{Dir: src})
	stripped := Build(t, BuildSpec{Dir: src, Stripped: true})
	t.Cleanup(func() { os.RemoveAll(filepath.Dir(plain)); os.RemoveAll(filepath.Dir(stripped)) })
	if !hasSymbols(t, plain) || hasSymbols(t, stripped) {
		t.Errorf("symbols: plain %v, stripped %v", hasSymbols(t, plain), hasSymbols(t, stripped))
	}
	before, _ := os.Stat(plain)
	time.Sleep(10 * time.Millisecond)
	after, _ := os.Stat(Build(t, BuildSpec{Dir: src}))
	if !before.ModTime().Equal(after.ModTime()) {
		t.Error("built again although nothing changed")
	}
}

func hasSymbols(t *testing.T, path string) bool {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, _ := f.Symbols()
	return len(symbols) > 0
}
