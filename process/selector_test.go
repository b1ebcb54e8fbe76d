package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseSelector(t *testing.T) {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseSelector([]string{"shop", "/srv/**/app-*", "./bin/x"}, []string{"12", " 7 "})
	if err != nil {
		t.Fatal(err)
	}
	want := Selector{Exe: []string{"shop", "/srv/**/app-*", filepath.Join(wd, "bin/x")}, PIDs: []int{12, 7}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	invalid := map[string]struct{ exe, pid, want string }{
		"glob": {"/srv/[a", "",
			`invalid program pattern "/srv/[a": syntax error in pattern (escape a literal [ or * with a backslash)`},
		"empty": {"", "", `invalid program pattern "": it is empty`},
		"directory": {"/srv/", "",
			`invalid program pattern "/srv/": it names a directory (append ** for all programs below it)`},
		"word":     {"a", "init", `invalid process ID "init": want a positive whole number`},
		"negative": {"a", "-1", `invalid process ID "-1": want a positive whole number`},
		"huge":     {"a", "99999999999999999999", `invalid process ID "99999999999999999999": want a positive whole number`},
	}
	for name, tt := range invalid {
		t.Run(name, func(t *testing.T) {
			var pids []string
			if tt.pid != "" {
				pids = []string{tt.pid}
			}
			s, err := ParseSelector([]string{tt.exe}, pids)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got error %v, want %s", err, tt.want)
			}
			if diff := cmp.Diff(Selector{}, s); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSelectorMatchExe(t *testing.T) {
	tests := []struct {
		pattern, exe string
		want         bool
	}{
		{"/srv/app", "/srv/app", true},
		{"/srv/app", "/srv/app2", false},
		{"/srv/app", "/srv/app/app", false},
		{"app", "/srv/app", true},
		{"app", "/srv/app/other", false},
		{"app-*", "/srv/app-1", true},
		{"app-*", "/srv/app/1", false},
		{"/srv/*", "/srv/app", true},
		{"/srv/*", "/srv/x/app", false},
		{"/srv/*/app", "/srv/x/app", true},
		{"/srv/**/app", "/srv/app", true},
		{"/srv/**/app", "/srv/x/y/app", true},
		{"/srv/**/app", "/srv/x/y/apps", false},
		{"/srv/**", "/srv/x/y", true},
		{"/srv/**", "/srvx/y", false},
		{"/**/releases/**/ap?", "/srv/releases/42/app", true},
		{"/**/releases/**/ap?", "/srv/release/42/app", false},
		{"/**", "/x", true},
		{"**", "/x", true},
		{`/srv/\[a\]`, "/srv/[a]", true},
	}
	for _, tt := range tests {
		s := Selector{Exe: []string{tt.pattern}}
		if got := s.Match(NewFS(t.TempDir()), Process{PID: 1, Exe: tt.exe}); got != tt.want {
			t.Errorf("%q on %q: got %v, want %v", tt.pattern, tt.exe, got, tt.want)
		}
	}
}

func TestSelectorFollowsLink(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	real, link := filepath.Join(dir, "app-42"), filepath.Join(dir, "app")
	if err := os.WriteFile(real, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("app-42", link); err != nil {
		t.Fatal(err)
	}
	s := Selector{Exe: []string{link}}
	if !s.Match(NewFS(t.TempDir()), Process{PID: 1, Exe: real}) {
		t.Error("a program reached by a symbolic link is not matched")
	}
}

func TestSelectorMatchProcess(t *testing.T) {
	root := fakeProc(t,
		fakeProcess{pid: 1, exe: "/init"},
		fakeProcess{pid: 10, ppid: 1, exe: "/bin/sh"},
		fakeProcess{pid: 11, ppid: 10, exe: "/bin/sh"},
		fakeProcess{pid: 12, ppid: 11, exe: "/srv/app"},
		fakeProcess{pid: 20, ppid: 21, exe: "/a"},
		fakeProcess{pid: 21, ppid: 20, exe: "/a"}, // a circle cannot be, but must end
	)
	if err := os.Symlink("11", filepath.Join(root, "self")); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		sel  Selector
		pid  int
		want bool
	}{
		"nothing selected":    {Selector{}, 12, false},
		"PID":                 {Selector{PIDs: []int{5, 12}}, 12, true},
		"other PID":           {Selector{PIDs: []int{5}}, 12, false},
		"descendant":          {Selector{Descendants: []int{10}}, 12, true},
		"itself":              {Selector{Descendants: []int{12}}, 12, true},
		"ancestor":            {Selector{Descendants: []int{12}}, 10, false},
		"circle":              {Selector{Descendants: []int{1}}, 20, false},
		"the reader":          {Selector{PIDs: []int{11}, Exe: []string{"/**"}, Descendants: []int{11}}, 11, false},
		"child of the reader": {Selector{Descendants: []int{11}}, 12, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			fs := NewFS(root)
			p, err := fs.Process(tt.pid)
			if err != nil {
				t.Fatal(err)
			}
			if got := tt.sel.Match(fs, p); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestUnusable(t *testing.T) {
	dir := t.TempDir()
	for pattern, want := range map[string]string{
		"app": "", "/srv/*": "", os.Args[0]: "", dir + "/none": "no such file here", dir: "a directory; append /**",
	} {
		if got := Unusable(pattern); !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: got %q, want %q", pattern, got, want)
		}
	}
}
