package process

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Selector says which processes are targets: those that any of its lists names. The
// zero Selector matches none.
type Selector struct {
	// Exe are paths or patterns of programs. One with a slash is matched against the
	// whole absolute path, one without against the last element. *, ? and [a-z] match
	// within one path element as in path.Match; the element ** matches any number of
	// directories. A path without wildcards may be a symbolic link: it is followed anew
	// for each process, so that a link switched at a deployment is right.
	Exe []string

	// PIDs are process IDs, in the PID namespace that the FS shows.
	PIDs []int

	// Descendants are PIDs of processes that are targets with all they start.
	Descendants []int
}

// ParseSelector makes a Selector of what a user wrote. Relative paths are taken from
// the working directory.
func ParseSelector(exe, pids []string) (Selector, error) {
	var s Selector
	for _, pattern := range exe {
		parsed, err := parsePattern(pattern)
		if err != nil {
			return Selector{}, fmt.Errorf("invalid program pattern %q: %w", pattern, err)
		}
		s.Exe = append(s.Exe, parsed)
	}
	for _, text := range pids {
		pid, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || pid <= 0 {
			return Selector{}, fmt.Errorf("invalid process ID %q: want a positive whole number", text)
		}
		s.PIDs = append(s.PIDs, pid)
	}
	return s, nil
}

func parsePattern(pattern string) (string, error) {
	if pattern == "" {
		return "", errors.New("it is empty")
	}
	if strings.HasSuffix(pattern, "/") {
		return "", errors.New("it names a directory (append ** for all programs below it)")
	}
	for _, element := range strings.Split(pattern, "/") {
		if _, err := path.Match(element, ""); err != nil {
			return "", fmt.Errorf("%w (escape a literal [ or * with a backslash)", err)
		}
	}
	if !strings.Contains(pattern, "/") {
		return pattern, nil
	}
	return filepath.Abs(pattern)
}

// Match reports whether p is a target. The reader itself never is.
func (s Selector) Match(fs FS, p Process) bool {
	if p.PID == fs.self {
		return false
	}
	return slices.Contains(s.PIDs, p.PID) || s.matchExe(p.Exe) || s.matchAncestor(fs, p)
}

func (s Selector) matchExe(exe string) bool {
	return slices.ContainsFunc(s.Exe, func(pattern string) bool { return matchExe(pattern, exe) })
}

func matchExe(pattern, exe string) bool {
	if !strings.Contains(pattern, "/") {
		return matchElement(pattern, path.Base(exe))
	}
	if matchPath(strings.Split(pattern, "/"), strings.Split(exe, "/")) {
		return true
	}
	if hasWildcard(pattern) {
		return false
	}
	target, err := filepath.EvalSymlinks(pattern)
	return err == nil && target == exe
}

func hasWildcard(pattern string) bool { return strings.ContainsAny(pattern, `*?[\`) }

// Unusable says why a pattern that is a plain path can match no program of this mount namespace, in words that complete
// "PATH: …"; "" if it can.
func Unusable(pattern string) string {
	if !strings.Contains(pattern, "/") || hasWildcard(pattern) {
		return ""
	}
	switch info, err := os.Stat(pattern); {
	case errors.Is(err, os.ErrNotExist):
		return "no such file here; a program in a container may have this path"
	case err == nil && info.IsDir():
		return "a directory; append /** for all programs below it"
	}
	return ""
}

// matchPath matches path elements; ** matches any number of them, but not the last:
// there is always a program's name.
func matchPath(pattern, elements []string) bool {
	for len(pattern) > 0 && len(elements) > 0 {
		if pattern[0] == "**" {
			rest := pattern[1:]
			if len(rest) == 0 {
				return true
			}
			for i := range elements {
				if matchPath(rest, elements[i:]) {
					return true
				}
			}
			return false
		}
		if !matchElement(pattern[0], elements[0]) {
			return false
		}
		pattern, elements = pattern[1:], elements[1:]
	}
	return len(pattern) == 0 && len(elements) == 0
}

func matchElement(pattern, element string) bool {
	ok, err := path.Match(pattern, element)
	return ok && err == nil
}

// maxAncestors ends the walk to the root of the process tree; a tree that is deeper, or
// that changes under the walk into a circle, is no case to wait for.
const maxAncestors = 1000

func (s Selector) matchAncestor(fs FS, p Process) bool {
	if len(s.Descendants) == 0 {
		return false
	}
	pid, parent := p.PID, p.PPID
	for range maxAncestors {
		if slices.Contains(s.Descendants, pid) {
			return true
		}
		if parent == 0 {
			return false
		}
		pid = parent
		st, err := fs.stat(pid)
		if err != nil {
			return false
		}
		parent = st.ppid
	}
	return false
}
