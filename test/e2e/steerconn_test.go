package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/remora-agent/remora/internal/testenv"
)

// A program's net.Conn may do anything when it is written to, and with URLs as long as these that is in the middle of the header that the program
// is made to write.

// bufferSize is that of net/http's Transport (https://pkg.go.dev/net/http#Transport).
const bufferSize = 4096

// midHeader calls f with URLs by which the buffer is full behind some bytes of the line `Traceparent`.
func midHeader(to string, f func(url string)) {
	host := strings.TrimPrefix(to, "http://")
	rest := len(requestOf("", host)) - len("\r\n")
	line := len("Traceparent: " + traceparent + "\r\n")
	for at := 1; at < line; at += 4 {
		f(to + "/" + strings.Repeat("x", bufferSize-rest-at-len("/")))
	}
}

// requestOf is what the fixture sends.
func requestOf(path, host string) string {
	return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n\r\n", path, host)
}

// startSteered starts the fixture of clients, an agent that steers, and what the fixture is to call.
func startSteered(t *testing.T, spec testenv.BuildSpec, env ...string) (target *testenv.Target, agent *testenv.Agent, upstream *recorder, to string) {
	t.Helper()
	testenv.RequireRegisterWrites(t)
	upstream = startRecorder(t)
	target = testenv.StartTarget(t, testenv.Build(t, spec), nil)
	agent = testenv.StartAgent(t, testenv.AgentOptions{Args: []string{"--pid", strconv.Itoa(target.PID)}, Env: append(env, "REMORA_INJECT=steer")})
	agent.WaitTraced(t, target.PID)
	return target, agent, upstream, "http://" + upstream.Addr().String()
}

// checkWhole fails unless each request is what the fixture sends, with one line `Traceparent` in it.
func checkWhole(t *testing.T, got [][]byte, want string, n int) {
	t.Helper()
	if len(got) != n {
		t.Errorf("%d requests, want %d", len(got), n)
	}
	for _, raw := range got {
		if traceparents, _, rest := carried(raw); len(traceparents) != 1 || string(rest) != want {
			t.Errorf("got %q\nwant %q and one Traceparent", raw, want)
		}
	}
}

// TestSteerAtTheBuffersEdge: with URLs of all lengths around that of the write buffer, each request carries the line and is whole.
func TestSteerAtTheBuffersEdge(t *testing.T) {
	target, _, upstream, to := startSteered(t, injectBuilds("testdata/httpclient")[1])
	for n := 3850; n < 4150; n += 3 {
		path := "/" + strings.Repeat("x", n)
		callOnce(t, target, "get", to+path, nil)
		checkWhole(t, upstream.taken(), requestOf(path, upstream.Addr().String()), 1)
	}
}

// TestSteerGoroutineEnds: the goroutine that writes a header ends in the middle. Those that get its memory after it write headers with a Traceparent of the
// program's own, which stay as they are.
func TestSteerGoroutineEnds(t *testing.T) {
	for _, spec := range injectBuilds("testdata/httpclient") {
		t.Run(spec.String(), func(t *testing.T) {
			target, _, upstream, to := startSteered(t, spec)
			const carrying = 8 // by each call of manycarry
			midHeader(to, func(url string) {
				callOnce(t, target, "writeends", url, nil)
				if got := upstream.taken(); len(got) != 0 {
					t.Errorf("%d requests of a goroutine that has ended: %q", len(got), got)
				}
				for range 3 {
					callOnce(t, target, "manycarry", to+"/path", nil)
					checkWhole(t, upstream.taken(), requestOf("/path", upstream.Addr().String()), carrying)
				}
				callOnce(t, target, "get", to+"/path", nil)
				checkWhole(t, upstream.taken(), requestOf("/path", upstream.Addr().String()), 1)
			})
			noCrash(t, target.Output())
		})
	}
}

// TestSteerWithinAHeader: what a header is written to writes others, or uses so much stack that this is moved. The header goes on behind it.
func TestSteerWithinAHeader(t *testing.T) {
	builds := injectBuilds("testdata/httpclient")
	for _, spec := range builds {
		t.Run(spec.String(), func(t *testing.T) { withinAHeader(t, spec) })
	}
	t.Run("unreadable", func(t *testing.T) { withinAHeader(t, builds[1], "REMORA_TEST_FAIL_READ=2") })
}

func withinAHeader(t *testing.T, spec testenv.BuildSpec, env ...string) {
	target, agent, upstream, to := startSteered(t, spec, env...)
	calls := 0
	for _, way := range []string{"writegrows", "writenests"} {
		midHeader(to, func(url string) {
			calls++
			callOnce(t, target, way, url, nil)
			checkWhole(t, upstream.taken(), requestOf(strings.TrimPrefix(url, to), upstream.Addr().String()), 1)
		})
	}
	if n := agent.Metric(t, "remora_propagation_failed_total", "reason=unknown_writer"); int(n) != calls/2 {
		t.Errorf("%v headers within others are counted, want %d", n, calls/2)
	}
	noCrash(t, target.Output())
}

// TestSteerWriteFails: a write fails in the middle of a header. The program's call fails as it does without an agent, and the next one is whole.
func TestSteerWriteFails(t *testing.T) {
	for _, spec := range injectBuilds("testdata/httpclient") {
		t.Run(spec.String(), func(t *testing.T) {
			target, agent, upstream, to := startSteered(t, spec)
			outcomes := func() (list []string) {
				midHeader(to, func(url string) {
					list = append(list, callOnce(t, target, "writefails", url, nil))
					if got := upstream.taken(); len(got) != 0 {
						t.Errorf("%d requests, none of which could be written: %q", len(got), got)
					}
					callOnce(t, target, "get", to+"/path", nil)
					upstream.taken()
				})
				return list
			}
			got := outcomes()
			for range 3 {
				callOnce(t, target, "get", to+"/path", nil)
			}
			checkWhole(t, upstream.taken(), requestOf("/path", upstream.Addr().String()), 3)
			agent.Stop(t)
			if want := outcomes(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("calls end with\n%q\nwithout an agent:\n%q", got, want)
			}
			noCrash(t, target.Output())
		})
	}
}

// TestSteerPanics: a panic in the middle of a header ends the program as any other does, with the whole stack.
func TestSteerPanics(t *testing.T) {
	target, _, _, to := startSteered(t, injectBuilds("testdata/httpclient")[1])
	var urls []string
	midHeader(to, func(url string) { urls = append(urls, url) })
	if outcome, err := tryOnce(target, "writepanics", urls[len(urls)/2], nil); err == nil {
		t.Errorf("the program goes on: %s", outcome)
	}
	testenv.Eventually(t, testenv.Patient(10*time.Second), "the program has ended", target.Exited)
	output := target.Output()
	for _, want := range []string{"panic: the device is on fire", "main.(*ownConn).Write", "io.WriteString", "net/http.(*Request).write", "net/http.(*persistConn).writeLoop"} {
		if !strings.Contains(output, want) {
			t.Errorf("the program's last words have no %q:\n%s", want, output)
		}
	}
	for _, bad := range []string{"fatal error", "unexpected return pc", "runtime error", "SIG"} {
		if strings.Contains(output, bad) {
			t.Errorf("the program's last words have %q:\n%s", bad, output)
		}
	}
}
