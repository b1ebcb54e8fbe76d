package doctor

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWriteText(t *testing.T) {
	checks := []Check{
		{Name: "kernel", Status: OK, Detail: "Linux 6.18"},
		{Name: "user writes", Status: Warning, Detail: "refused", Consequence: "no header", Remedy: "boot anew"},
		{Name: "uprobes", Status: Missing, Detail: "none", Consequence: "no trace"},
	}
	tests := map[string]struct {
		color bool
		want  string
	}{
		"plain": {false, "" +
			"ok       kernel       Linux 6.18\n" +
			"warning  user writes  refused\n" +
			"                      → no header\n" +
			"                      remedy: boot anew\n" +
			"missing  uprobes      none\n" +
			"                      → no trace\n"},
		"color": {true, "" +
			"\x1b[32mok     \x1b[0m  kernel       Linux 6.18\n" +
			"\x1b[33mwarning\x1b[0m  user writes  refused\n" +
			"                      → no header\n" +
			"                      remedy: boot anew\n" +
			"\x1b[31mmissing\x1b[0m  uprobes      none\n" +
			"                      → no trace\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := WriteText(&b, checks, tt.color); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
	if err := WriteText(fullDisk{}, checks, false); !errors.Is(err, errFull) {
		t.Errorf("got error %v, want the writer's", err)
	}
}

var errFull = errors.New("no space left")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }
