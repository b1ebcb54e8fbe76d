// Package e2e tests remora from outside: real programs of several Go versions, the real agent, a real OTLP receiver.
package e2e

import (
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/remora-agent/remora/internal/testenv"
)

// The Go versions of the fixtures, the newest last: its golden file is the one that the others are compared with.
var goVersions = []string{"1.18.10", "1.19.13", "1.20.14", "1.21.13", "1.22.12", "1.23.12", "1.24.13", "1.25.8", "1.26.8", "1.27.4"}

func newest() string { return goVersions[len(goVersions)-1] }

func httpServer(t testing.TB, spec testenv.BuildSpec) string {
	spec.Dir = "testdata/httpserver"
	return testenv.Build(t, spec)
}

// TestHTTPServer compares the spans of every behaviour of a net/http server with testdata/http.golden.
func TestHTTPServer(t *testing.T) {
	testenv.RequireRoot(t)
	for i := len(goVersions) - 1; i >= 0; i-- { // the newest first: -update compares the others with it
		spec := testenv.BuildSpec{Go: goVersions[i], Stripped: true}
		t.Run(spec.String(), func(t *testing.T) { testBehaviours(t, spec) })
	}
	specs := []testenv.BuildSpec{
		{Go: goVersions[0]},
		{Go: newest()},
		{Go: newest(), PIE: true, Stripped: true},
		{Go: newest(), External: true},
	}
	for _, version := range profiledVersions() {
		specs = append(specs, testenv.BuildSpec{Go: version, Stripped: true, Hot: testenv.HotServer(minorOf(version))})
	}
	for _, spec := range specs {
		t.Run(spec.String(), func(t *testing.T) { testBehaviours(t, spec) })
	}
}

var allProfiled = flag.Bool("pgo-all", false, "run the tests of programs built with a profile with old versions of Go, too")

// profiledVersions are those that programs are built with and a profile.
func profiledVersions() []string {
	if *allProfiled {
		return []string{"1.21.13", "1.22.12", "1.24.13", "1.26.8", newest()}
	}
	return []string{newest()}
}

func testBehaviours(t *testing.T, spec testenv.BuildSpec) {
	bin := httpServer(t, spec)
	sink := testenv.NewSink(t)
	target := testenv.StartTarget(t, bin, nil, "-unix", filepath.Join(t.TempDir(), "socket"))
	agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", strconv.Itoa(target.PID)}})
	agent.WaitTraced(t, target.PID)

	minor := minorOf(spec.Go)
	var sent []exchange
	for _, b := range behaviours() {
		if b.since > minor {
			continue
		}
		w, err := b.send(target)
		if err != nil {
			t.Errorf("%s: %v", b.name, err)
		}
		sent = append(sent, exchange{b.name, w, b.want()})
		if b.hangup {
			served(t, sink, sent)
		}
	}
	sections := collect(t, sink, sent, target.Addr("plain"))
	// What a binary is built with makes no difference, so it must not write one down.
	compareGolden(t, "http", spec.Go, spec.Stripped && !spec.PIE && spec.Hot == "", sections)
	if code := agent.Stop(t); code != 0 {
		t.Errorf("agent ended with %d on SIGTERM, want 0", code)
	}
	if target.Exited() {
		t.Errorf("target is gone:\n%s", target.Output())
	}
}

// compareGolden compares sections with testdata/NAME.golden. Where an older Go itself behaves otherwise, testdata/NAME.go1.N.golden says how,
// up to Go 1.N. -update rewrites a file only for the version in its name (which is to be there if a newer one is), and if writes.
func compareGolden(t *testing.T, name, version string, writes bool, sections []testenv.Section) {
	t.Helper()
	overlay := ""
	if version != newest() {
		file := func(minor int) string { return fmt.Sprintf("testdata/%s.go1.%d.golden", name, minor) }
		own := minorOf(version)
		overlay = file(own)
		for minor := own; minor < minorOf(newest()); minor++ {
			if _, err := os.Stat(file(minor)); err == nil {
				overlay, writes = file(minor), writes && minor == own
				break
			}
		}
	}
	compare := testenv.CompareGolden
	if writes {
		compare = testenv.Golden
	}
	compare(t, "testdata/"+name+".golden", overlay, sections)
}

func minorOf(version string) int {
	minor, _ := strconv.Atoi(strings.Split(version, ".")[1])
	return minor
}

// exchange is a behaviour that was sent: when, and how many spans it is to make.
type exchange struct {
	name   string
	window testenv.Window
	want   int
}

// lag is how long a handler may go on behind its answer.
const lag = 50 * time.Millisecond

// served ends the window of the last exchange when the spans of all are there: a client that leaves does not hear of the handler's end.
func served(t *testing.T, sink *testenv.Sink, sent []exchange) {
	t.Helper()
	sink.Wait(t, wanted(sent), 10*time.Second)
	sent[len(sent)-1].window.To = time.Now()
	time.Sleep(testenv.Patient(10 * time.Millisecond)) // well apart from the next one
}

// wanted is how many spans there are to be.
func wanted(sent []exchange) int {
	n := 0
	for _, e := range sent {
		n += e.want
	}
	return n
}

// collect waits for the spans of what was sent to addr, checks their number and times, and writes them down.
func collect(t *testing.T, sink *testenv.Sink, sent []exchange, addr string) []testenv.Section {
	t.Helper()
	sink.Wait(t, wanted(sent), 10*time.Second)
	time.Sleep(testenv.Patient(300 * time.Millisecond)) // for what must not come
	spans := sink.Spans()

	var sections []testenv.Section
	for _, e := range sent {
		mine := during(spans, e.window)
		if len(mine) != e.want {
			t.Errorf("%s: got %d spans, want %d", e.name, len(mine), e.want)
		}
		for _, s := range mine {
			if err := e.window.CheckTimes(s); err != nil {
				t.Errorf("%s: %v", e.name, err)
			}
		}
		sections = append(sections, testenv.Section{Name: e.name, Text: canonical(addr).Text(mine) + "\n"})
	}
	return sections
}

// canonical knows the IDs that the tests send.
func canonical(addr string) *testenv.Canonical {
	_, port, _ := net.SplitHostPort(addr)
	return &testenv.Canonical{
		Known:      map[string]string{remoteTrace: "REMOTE-TRACE", remoteSpan: "REMOTE-SPAN"},
		ServerPort: port,
	}
}

func during(spans []testenv.Span, w testenv.Window) []testenv.Span {
	var mine []testenv.Span
	for _, s := range spans {
		if w.Holds(s) {
			mine = append(mine, s)
		}
	}
	return mine
}
