// Testreport reads `go test -json` from stdin and prints what a person needs: a line for each package, the output of tests that
// failed, and at the end the counts and every skipped test with its reason. It ends with 1 when something failed, or when
// nothing was tested.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

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
	skipped        []string
}

func main() {
	r := &report{out: os.Stdout, output: map[string][]string{}, failing: map[string]bool{}}
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
		fmt.Fprint(r.out, text)
	case "skip":
		r.skipped = append(r.skipped, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(text)))
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

// reason is what the test said when it skipped: the last line that is not go test's own.
func reason(text string) string {
	why := "no reason given"
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			why = line
		}
	}
	return why
}

// close prints the summary and says whether all is well.
func (r *report) close() bool {
	for _, s := range r.skipped {
		fmt.Fprintln(r.out, "skipped:", s)
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, len(r.skipped))
	return r.failed == 0 && r.passed > 0
}
