package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/remora-agent/remora/internal/testenv"
)

// withXNet is a fixture that links a version of golang.org/x/net.
func withXNet(goVersion, version string) testenv.BuildSpec {
	return testenv.BuildSpec{Go: goVersion, ModFile: "xnet-" + version + ".mod", Tags: "xnet"}
}

// xnetSpecs are the versions of Go and golang.org/x/net that are tested together, the newest last. With Go 1.27 the later one has net/http
// serve its connections.
var xnetSpecs = []testenv.BuildSpec{
	withXNet("1.18.10", "0.12.0"),
	withXNet("1.21.13", "0.17.0"),
	withXNet("1.24.13", "0.40.0"),
	withXNet("1.26.8", "0.62.0"),
	withXNet("1.27.4", "0.12.0"),
	withXNet("1.27.4", "0.62.0"),
}

// strippedXNet returns xnetSpecs stripped, the newest first: -update compares the others with it.
func strippedXNet() []testenv.BuildSpec {
	specs := slices.Clone(xnetSpecs)
	slices.Reverse(specs)
	for i := range specs {
		specs[i].Stripped = true
	}
	return specs
}

// http2Listener is a way in which the fixture serves HTTP/2.
type http2Listener struct {
	name, scheme string
	since        int // first Go 1.N that has it
}

var http2Listeners = []http2Listener{{"h2", "https", 0}, {"configured", "https", 0}, {"h2c", "http", 0}, {"native", "http", 24}}

// TestHTTP2Listeners compares the spans of every behaviour of an HTTP/2 server with testdata/http2listeners.golden, the same for net/http's
// and golang.org/x/net's server, with TLS and without.
func TestHTTP2Listeners(t *testing.T) {
	testenv.RequireRoot(t)
	specs := strippedXNet()
	pie, external := specs[0], specs[0]
	pie.PIE, external.External, external.Stripped = true, true, false
	specs = append(specs, pie, external)
	for _, version := range profiledVersions() { // with the older x/net, which serves by itself
		i := slices.IndexFunc(xnetSpecs, func(s testenv.BuildSpec) bool { return s.Go == version })
		if i < 0 {
			continue
		}
		profiled := xnetSpecs[i]
		profiled.Stripped, profiled.Hot = true, testenv.HotServer(minorOf(version))
		specs = append(specs, profiled)
	}
	for _, spec := range specs {
		t.Run(spec.String(), func(t *testing.T) { testHTTP2Behaviours(t, spec) })
	}
}

func testHTTP2Behaviours(t *testing.T, spec testenv.BuildSpec) {
	target := testenv.StartTarget(t, httpServer(t, spec), nil)
	for _, l := range http2Listeners {
		if l.since > minorOf(spec.Go) {
			continue
		}
		t.Run(l.name, func(t *testing.T) { testHTTP2Listener(t, spec, l, target) })
	}
	if target.Exited() {
		t.Errorf("target is gone:\n%s", target.Output())
	}
}

func testHTTP2Listener(t *testing.T, spec testenv.BuildSpec, l http2Listener, target *testenv.Target) {
	sink := testenv.NewSink(t)
	agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", strconv.Itoa(target.PID)}})
	agent.WaitTraced(t, target.PID)

	minor := minorOf(spec.Go)
	var sent []exchange
	for _, b := range http2Behaviours() {
		if b.since > minor {
			continue
		}
		w, err := b.send(l, target.Addr(l.name))
		if err != nil {
			t.Errorf("%s: %v", b.name, err)
		}
		sent = append(sent, exchange{b.name, w, b.want()})
		if b.leaves() {
			served(t, sink, sent)
		}
	}
	sections := collect(t, sink, sent, target.Addr(l.name))
	for i := range sections { // the listeners differ in nothing but their scheme
		sections[i].Text = strings.ReplaceAll(sections[i].Text, fmt.Sprintf("url.scheme = %q", l.scheme), "url.scheme = LISTENER")
	}
	// The other listeners make no difference, so they must not write one down.
	compareGolden(t, "http2listeners", spec.Go, l.name == "h2" && !spec.PIE && !spec.External, sections)
	if n := dropped(t, agent); n != 0 {
		t.Errorf("agent counts %d drops", n)
	}
	if code := agent.Stop(t); code != 0 {
		t.Errorf("agent ended with %d on SIGTERM, want 0", code)
	}
}
