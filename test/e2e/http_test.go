// Package e2e tests remora from outside: real programs of several Go versions, the real agent, a real OTLP receiver.
package e2e

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/remora-agent/remora/internal/testenv"
)

// The Go versions of the fixtures, the newest last: its golden file is the one that the others are compared with.
var goVersions = []string{"1.18.10", "1.21.13", "1.24.13", "1.26.8", "1.27.4"}

func newest() string { return goVersions[len(goVersions)-1] }

func httpServer(t testing.TB, spec testenv.BuildSpec) string {
	spec.Dir = "testdata/httpserver"
	return testenv.Build(t, spec)
}

// TestHTTPServer compares the spans of every behaviour of a net/http server with testdata/http.golden. Where an older Go
// itself behaves otherwise, testdata/http.go1.N.golden says how.
func TestHTTPServer(t *testing.T) {
	testenv.RequireRoot(t)
	for i := len(goVersions) - 1; i >= 0; i-- { // the newest first: -update compares the others with it
		for _, stripped := range []bool{false, true} {
			spec := testenv.BuildSpec{Go: goVersions[i], Stripped: stripped}
			t.Run(spec.String(), func(t *testing.T) { testBehaviours(t, spec) })
		}
	}
	for _, spec := range []testenv.BuildSpec{
		{Go: newest(), PIE: true, Stripped: true},
		{Go: newest(), External: true},
	} {
		t.Run(spec.String(), func(t *testing.T) { testBehaviours(t, spec) })
	}
}

func testBehaviours(t *testing.T, spec testenv.BuildSpec) {
	bin := httpServer(t, spec)
	sink := testenv.NewSink(t)
	target := testenv.StartTarget(t, bin, nil, "-unix", filepath.Join(t.TempDir(), "socket"))
	agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", strconv.Itoa(target.PID)}})
	agent.WaitTraced(t, target.PID)

	minor := minorOf(spec.Go)
	var done []behaviour
	var windows []testenv.Window
	want := 0
	for _, b := range behaviours() {
		if b.since > minor {
			continue
		}
		w, err := b.send(target)
		if err != nil {
			t.Errorf("%s: %v", b.name, err)
		}
		done, windows = append(done, b), append(windows, w)
		want += b.want()
	}
	sink.Wait(t, want, 10*time.Second)
	time.Sleep(300 * time.Millisecond) // for what must not come
	spans := sink.Spans()

	var sections []testenv.Section
	for i, b := range done {
		mine := during(spans, windows[i])
		if len(mine) != b.want() {
			t.Errorf("%s: got %d spans, want %d", b.name, len(mine), b.want())
		}
		for _, s := range mine {
			if err := windows[i].CheckTimes(s); err != nil {
				t.Errorf("%s: %v", b.name, err)
			}
		}
		sections = append(sections, testenv.Section{Name: b.name, Text: canonical(target).Text(mine) + "\n"})
	}
	overlay := ""
	if spec.Go != newest() {
		overlay = fmt.Sprintf("testdata/http.go1.%d.golden", minor)
	}
	compare := testenv.Golden
	if spec.Stripped || spec.PIE || spec.External { // makes no difference, so it must not write one down
		compare = testenv.CompareGolden
	}
	compare(t, "testdata/http.golden", overlay, sections)
	if code := agent.Stop(t); code != 0 {
		t.Errorf("agent ended with %d on SIGTERM, want 0", code)
	}
	if target.Exited() {
		t.Errorf("target is gone:\n%s", target.Output())
	}
}

func minorOf(version string) int {
	minor, _ := strconv.Atoi(strings.Split(version, ".")[1])
	return minor
}

// canonical knows the IDs that the tests send.
func canonical(target *testenv.Target) *testenv.Canonical {
	_, port, _ := net.SplitHostPort(target.Addr("plain"))
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
