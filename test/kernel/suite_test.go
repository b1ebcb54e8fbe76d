package kernel

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// suite is a package of tests that runs inside, built for one architecture.
type suite struct {
	name, dir, arch string
	endToEnd        bool
	tests, remora   string // programs
}

// build builds all suites, without cgo, and the remora that they test.
func build(t *testing.T) []suite {
	t.Helper()
	bin := t.TempDir()
	var suites []suite
	for _, arch := range []string{"amd64", "arm64"} {
		remora := filepath.Join(bin, "remora-"+arch)
		goCommand(t, arch, "build", "-trimpath", "-o", remora, "../../cmd/remora")
		for _, s := range []suite{{name: "inside", dir: "inside"}, {name: "e2e", dir: "../e2e", endToEnd: true}} {
			dir, err := filepath.Abs(s.dir)
			if err != nil {
				t.Fatal(err)
			}
			tests := filepath.Join(bin, s.name+"-"+arch)
			goCommand(t, arch, "test", "-c", "-trimpath", "-o", tests, "./"+s.dir)
			s.dir, s.arch, s.tests, s.remora = dir, arch, tests, remora
			suites = append(suites, s)
		}
	}
	return suites
}

func goCommand(t *testing.T, arch string, args ...string) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, out)
	}
}

// omission is tests, as `go test -skip` takes them, that do not run inside.
type omission struct{ tests, reason string }

// leftOut is what of a suite does not run under a kernel. All else does, whatever is added to the suite.
func (s suite) leftOut(m machine) []omission {
	switch {
	case s.endToEnd:
		list := []omission{
			{`^TestVersionAndHelp$`, "asks nothing of the kernel: ran outside"},
			{`^TestWrongUse$`, "asks nothing of the kernel: ran outside"},
			{`^TestInspect(Refuses|Damaged)?$`, "reads files only: ran outside"},
			{`^Test(HTTPServer|HTTPClient|HTTP2Listeners)$/(^go[0-9.]+$|pie|cgo)`, "differs in symbols and linking, not for the kernel: ran outside"},
			{`^Test(HTTPServer|HTTPClient|HTTP2Listeners|EveryStreamIsASpan)$/^go1\.(19|2[0-6])\.`, "the oldest and the newest Go run here: the others ran outside, and TestVerifier loads their programs"},
			{`^Test(HTTP2Listeners|EveryStreamIsASpan)$/^go1\.27.*-0\.12\.0`, "the newest golang.org/x/net runs here: the oldest ran outside"},
			{`^TestGRPC(Server|Client)$/^go1\.(19|2[0235])\.`, "the oldest and the newest gRPC run here: the others ran outside, and differ in nothing that a kernel sees"},
			{`^TestGRPCServer$/./^(tls|workers|h2c)$`, "one server of grpc's own and one of net/http run here: the others ran outside"},
			{`^TestSQL$/^go1\.(19|2[0-6])\.`, "the oldest and the newest Go run here: the others ran outside"},
			{`^Test(HTTPServer|GRPCClient|SQL)$/pgo`, "differs in where probes sit, not for the kernel: ran outside"},
			{`^TestAbsentPages$/^(gRPC|SQL)$`, "texts are read from the file as those of HTTP are, which run here: ran outside"},
			{`^Test(EndpointFails|Resource|ExporterNone|ConsoleAndOTLP)$`, "what becomes of spans once they are made: ran outside"},
			{`^Test(WorkerPool|TracingDamagesNothing|BackgroundCalls|SampledAsTheSDK|GRPCRelay|GRPCSoak|SQLManyQueries)$`, "thousands of calls, which tell nothing of a kernel: ran outside"},
		}
		if m.series != "6.1" {
			list = append(list, omission{`^Test(InjectDamagesNothing|InjectAtTheBuffersEdge)$`, "the writes are the same under each kernel: runs under 6.1"})
		}
		if m.series == "5.10" {
			list = append(list, omission{`^TestGRPCInjectDamagesNothing$`, "the writes are the same under each kernel: runs under 6.1, and where requests are steered"})
		}
		if testing.Short() {
			list = append(list, omission{`^Test(GRPCSteer|SteerAttachments|SteerKilled|SteerVersions)`, tooLong})
		}
		return list
	case testing.Short() && m.short < most:
		return []omission{{`^Test(EveryRequestIsASpan|AgentsComeAndGo)$`, tooLong}}
	case m.endToEnd && m.tests == "":
		return []omission{{`^TestEveryRequestIsASpan$`, "test/e2e does it here with more requests"}}
	}
	return nil
}

// selection is the test program's flags.
func (s suite) selection(m machine) []string {
	var skip []string
	for _, l := range s.leftOut(m) {
		skip = append(skip, l.tests)
	}
	run := *only
	if run == "" && s.endToEnd {
		run = m.tests
	}
	flags := []string{"-test.run=" + run}
	if len(skip) > 0 {
		flags = append(flags, "-test.skip="+strings.Join(skip, "|"))
	}
	if s.endToEnd && *requests > 0 {
		flags = append(flags, "-requests="+strconv.Itoa(*requests))
	}
	return flags
}
