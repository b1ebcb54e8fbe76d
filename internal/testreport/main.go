// Testreport reads `go test -json` from stdin and prints what a person needs: a line for each package, the output of tests that
// failed, and at the end every skipped test by its reason, the failed tests again in short, and the counts. It ends with 1 when
// something failed, or when nothing was tested.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

// shownAgain is how many lines of a failed test's output are repeated at the end, where they are seen first.
const shownAgain = 40

// event is one line of `go test -json`, see `go doc test2json`.
type event struct {
	Action, Package, ImportPath, Test, Output string
	Elapsed                                   float64
}

type report struct {
	out            io.Writer
	output         map[string][]string // of tests and packages that are not finished
	failing        map[string]bool     // packages of which a test failed
	passed, failed int
	failures       []failure
	skips          int
	reasons        []string            // in the order of the first skip
	skipped        map[string][]string // the tests by reason
}

type failure struct{ pkg, test, output string }

func newReport(out io.Writer) *report {
	return &report{out: out, output: map[string][]string{}, failing: map[string]bool{}, skipped: map[string][]string{}}
}

func main() {
	r := newReport(os.Stdout)
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	if !r.close() {
		os.Exit(1)
	}
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				fmt.Fprintf(r.out, "%s", line) // go's own words, when a package does not build
			} else {
				r.add(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) add(e event) {
	key := e.Package + e.ImportPath + " " + e.Test
	switch e.Action {
	case "output", "build-output":
		r.output[key] = append(r.output[key], e.Output)
		return
	case "pass", "fail", "skip", "build-fail":
	default:
		return
	}
	text := strings.Join(r.output[key], "")
	delete(r.output, key)
	if e.Test == "" {
		r.finishPackage(e, text)
		return
	}
	switch e.Action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		r.failing[e.Package] = true
		r.failures = append(r.failures, failure{e.Package, e.Test, text})
		fmt.Fprint(r.out, text)
	case "skip":
		why := reason(text)
		if _, ok := r.skipped[why]; !ok {
			r.reasons = append(r.reasons, why)
		}
		r.skipped[why] = append(r.skipped[why], e.Package+" "+e.Test)
		r.skips++
	}
}

// finishPackage prints go test's own closing line, and all that the package wrote outside its tests when it failed.
func (r *report) finishPackage(e event, text string) {
	if e.Action == "fail" || e.Action == "build-fail" {
		if !r.failing[e.Package] {
			r.failed++
		}
		fmt.Fprint(r.out, text)
		return
	}
	for _, line := range strings.SplitAfter(text, "\n") {
		if strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "ok\t") {
			fmt.Fprint(r.out, line)
		}
	}
}

// place is where in its source a test said something, behind where a test that repeats it did.
var place = regexp.MustCompile(`^([\w.]+\.go:\d+: )+`)

// reason is what the test said when it skipped: the last line that is not go test's own.
func reason(text string) string {
	why := "no reason given"
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			why = place.ReplaceAllString(line, "")
		}
	}
	return why
}

// close prints the summary and says whether all is well.
func (r *report) close() bool {
	for _, why := range r.reasons {
		fmt.Fprintf(r.out, "skipped: %s\n", why)
		for _, test := range r.skipped[why] {
			fmt.Fprintf(r.out, "\t%s\n", test)
		}
	}
	for _, f := range r.failures {
		if !r.innermost(f) {
			continue
		}
		fmt.Fprintf(r.out, "failed: %s %s\n", f.pkg, f.test)
		lines := strings.SplitAfter(f.output, "\n")
		fmt.Fprint(r.out, strings.Join(lines[max(0, len(lines)-shownAgain):], ""))
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skips)
	return r.failed == 0 && r.passed > 0
}

// innermost says whether a test did not merely fail by a test within it.
func (r *report) innermost(f failure) bool {
	return !slices.ContainsFunc(r.failures, func(o failure) bool { return o.pkg == f.pkg && strings.HasPrefix(o.test, f.test+"/") })
}
