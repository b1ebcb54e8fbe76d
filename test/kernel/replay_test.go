package kernel

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// event is one line of test2json, see `go doc test2json`.
type event struct{ Action, Test, Output string }

// replay reports the tests of a `-test.v` output as subtests of t, flat, and says whether one failed.
func replay(t *testing.T, output []byte) (failed bool) {
	t.Helper()
	cmd := exec.Command("go", "tool", "test2json")
	cmd.Stdin = bytes.NewReader(output)
	lines, err := cmd.Output()
	if err != nil {
		t.Fatalf("go tool test2json: %v", err)
	}
	text := map[string][]string{}
	for _, line := range bytes.Split(bytes.TrimSpace(lines), []byte("\n")) {
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("test2json: %v: %s", err, line)
		}
		if e.Action == "output" && !strings.HasPrefix(e.Output, "=== ") {
			text[e.Test] = append(text[e.Test], strings.TrimSpace(e.Output))
		}
		if e.Test == "" {
			continue
		}
		switch e.Action {
		case "pass", "fail", "skip":
			failed = failed || e.Action == "fail"
			t.Run(e.Test, func(t *testing.T) { repeat(t, e.Action, strings.Join(text[e.Test], "\n")) })
		}
	}
	return failed
}

func repeat(t *testing.T, action, text string) {
	switch action {
	case "pass":
		t.Log(text)
	case "skip":
		t.Skip(text)
	case "fail":
		t.Error(text)
	}
}
