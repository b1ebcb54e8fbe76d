package testenv

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files with what is seen now")

// Section is one named part of a golden file.
type Section struct{ Name, Text string }

// sectionMark begins the line of a section's name.
const sectionMark = "=== "

// Golden compares sections with the golden file at path. With overlay, a second file holds only those sections that are
// otherwise for this variant of the test (an older Go), and may be missing. The files may have sections that the test did not
// run. -update rewrites: with an overlay only the overlay, and only with what differs from path.
func Golden(t testing.TB, path, overlay string, got []Section) {
	t.Helper()
	switch {
	case !*update:
		CompareGolden(t, path, overlay, got)
	case overlay == "":
		writeSections(t, path, merge(readSections(t, path), got))
	default:
		writeSections(t, overlay, differing(readSections(t, path), got))
	}
}

// CompareGolden is Golden for a variant that must not differ from another one: it never rewrites.
func CompareGolden(t testing.TB, path, overlay string, got []Section) {
	t.Helper()
	want := readSections(t, path)
	if overlay != "" {
		want = merge(want, readSections(t, overlay))
	}
	for _, s := range got {
		text, ok := find(want, s.Name)
		if !ok {
			t.Errorf("%s has no section %q (write it with -update):\n%s", path, s.Name, s.Text)
			continue
		}
		if diff := cmp.Diff(strings.Split(text, "\n"), strings.Split(s.Text, "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.Name, diff)
		}
	}
}

func find(list []Section, name string) (string, bool) {
	for _, s := range list {
		if s.Name == name {
			return s.Text, true
		}
	}
	return "", false
}

// merge replaces sections of base by those of the same name in over, and adds the others at the end.
func merge(base, over []Section) []Section {
	var out []Section
	for _, s := range base {
		if text, ok := find(over, s.Name); ok {
			s.Text = text
		}
		out = append(out, s)
	}
	for _, s := range over {
		if _, ok := find(base, s.Name); !ok {
			out = append(out, s)
		}
	}
	return out
}

func differing(base, got []Section) []Section {
	var out []Section
	for _, s := range got {
		if text, ok := find(base, s.Name); !ok || text != s.Text {
			out = append(out, s)
		}
	}
	return out
}

func readSections(t testing.TB, path string) []Section {
	t.Helper()
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return parseSections(string(data))
}

func parseSections(data string) []Section {
	var out []Section
	for _, line := range strings.SplitAfter(data, "\n") {
		if name, ok := strings.CutPrefix(line, sectionMark); ok {
			out = append(out, Section{Name: strings.TrimSpace(name)})
		} else if len(out) > 0 {
			out[len(out)-1].Text += line
		}
	}
	return out
}

func writeSections(t testing.TB, path string, list []Section) {
	t.Helper()
	if len(list) == 0 {
		os.Remove(path)
		return
	}
	var b strings.Builder
	for _, s := range list {
		fmt.Fprintf(&b, "%s%s\n%s", sectionMark, s.Name, s.Text)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
