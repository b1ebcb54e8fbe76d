package e2e

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/testenv"
)

// injectBuilds are the oldest and the newest: before Go 1.21 a stream's caller is found in another way.
func injectBuilds(dir string) []testenv.BuildSpec {
	return []testenv.BuildSpec{
		{Dir: dir, Go: goVersions[0], Stripped: true},
		{Dir: dir, Go: newest(), Stripped: true},
	}
}

// recorder is an HTTP/1 server that keeps the bytes of each request. It closes each connection behind its answer.
type recorder struct {
	net.Listener
	mu       sync.Mutex
	requests [][]byte
}

func startRecorder(t *testing.T) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(conn)
		}
	}()
	return r
}

func (r *recorder) serve(conn net.Conn) {
	defer conn.Close()
	req := r.read(conn)
	if req == nil {
		return
	}
	answer := "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	switch {
	case strings.HasPrefix(req.URL.Path, "/redirect"):
		answer = "HTTP/1.1 302 Found\r\nLocation: /end\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	case req.URL.Path == "/flaky": // the connection seems to stay, and is closed instead of a second answer
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		r.read(conn)
		return
	}
	io.WriteString(conn, answer)
}

// read keeps a connection's next request and returns it, nil if there is none.
func (r *recorder) read(conn net.Conn) *http.Request {
	var raw bytes.Buffer
	in := io.TeeReader(conn, &raw)
	req, err := http.ReadRequest(bufio.NewReader(in))
	if err != nil {
		return nil
	}
	if req.Header.Get("Expect") != "" {
		io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		return nil
	}
	r.mu.Lock()
	r.requests = append(r.requests, bytes.Clone(raw.Bytes()))
	r.mu.Unlock()
	return req
}

// taken returns the requests since the last call.
func (r *recorder) taken() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.requests
	r.requests = nil
	return list
}

var traceLines = regexp.MustCompile(`(?m)^(Traceparent|Tracestate): (.*)\r\n`)

// carried returns the values of a request's header lines Traceparent and Tracestate, and the request without these lines.
func carried(raw []byte) (traceparents, tracestates []string, rest []byte) {
	for _, m := range traceLines.FindAllSubmatch(raw, -1) {
		if string(m[1]) == "Traceparent" {
			traceparents = append(traceparents, string(m[2]))
		} else {
			tracestates = append(tracestates, string(m[2]))
		}
	}
	return traceparents, tracestates, traceLines.ReplaceAll(raw, nil)
}

func traceparentOf(s testenv.Span) string {
	return fmt.Sprintf("00-%s-%s-%02x", hex.EncodeToString(s.TraceId), hex.EncodeToString(s.SpanId), s.Flags&0xff)
}

// callOnce has the fixture make a call of testdata/httpclient and returns what came of it.
func callOnce(t *testing.T, target *testenv.Target, how, to string, header http.Header) string {
	t.Helper()
	outcome, err := tryOnce(target, how, to, header)
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

func tryOnce(target *testenv.Target, how, to string, header http.Header) (string, error) {
	req, err := http.NewRequest("GET", target.URL("/call?how="+how+"&to="+url.QueryEscape(to)), nil)
	if err != nil {
		return "", err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	client := &http.Client{Timeout: testenv.Patient(20 * time.Second)}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// TestInjectHTTP1: a request on the wire is, byte by byte, what it is without the agent, with one Traceparent more: that of the CLIENT
// span. What the server was called with as tracestate goes on unchanged.
func TestInjectHTTP1(t *testing.T) {
	testenv.RequireRoot(t)
	testenv.RequireInjection(t)
	parent := http.Header{"Traceparent": {traceparent}, "Tracestate": {"vendor=1,other=2"}}
	for _, spec := range injectBuilds("testdata/httpclient") {
		t.Run(spec.String(), func(t *testing.T) {
			bin := testenv.Build(t, spec)
			sink, upstream := testenv.NewSink(t), startRecorder(t)
			target := testenv.StartTarget(t, bin, nil)
			base := "http://" + upstream.Addr().String()
			ways := []string{"get", "post", "chunked", "expect", "head", "method", "opaque", "manyheaders", "transport", "wrapped", "nocontext", "fanout", "redirect"}
			way := func(how string) (string, string) {
				if how == "redirect" {
					return "get", base + "/redirect"
				}
				return how, base + "/path?query=1"
			}
			plain := map[string][][]byte{}
			for _, how := range ways {
				name, to := way(how)
				callOnce(t, target, name, to, nil)
				plain[how] = upstream.taken()
			}
			agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", strconv.Itoa(target.PID)}})
			agent.WaitTraced(t, target.PID)
			for _, how := range ways {
				for _, header := range []http.Header{nil, parent} {
					before := sink.Len()
					name, to := way(how)
					callOnce(t, target, name, to, header)
					got := upstream.taken()
					if len(got) != len(plain[how]) {
						t.Fatalf("%s: %d requests, %d without the agent", how, len(got), len(plain[how]))
					}
					spans := sink.Wait(t, before+1+len(got), testenv.Patient(10*time.Second))[before:]
					checkInjected(t, how, got, plain[how], spans, header)
				}
			}
			noneWithout(t, agent)
		})
	}
}

// checkInjected compares what arrived with what arrives without the agent and with the CLIENT spans.
func checkInjected(t *testing.T, how string, got, plain [][]byte, spans []testenv.Span, header http.Header) {
	t.Helper()
	calls := map[string]bool{}
	for _, s := range spans {
		if s.Kind.String() == "SPAN_KIND_CLIENT" {
			calls[traceparentOf(s)] = true
		}
	}
	want := header["Tracestate"]
	for i := range got {
		traceparents, tracestates, rest := carried(got[i])
		if len(traceparents) != 1 || !calls[traceparents[0]] {
			t.Errorf("%s: request %d carries %q, the spans are %v", how, i, traceparents, calls)
		} else {
			delete(calls, traceparents[0])
		}
		if fmt.Sprint(tracestates) != fmt.Sprint(want) {
			t.Errorf("%s: request %d carries the state %q, want %q", how, i, tracestates, want)
		}
		if !bytes.Equal(rest, plain[i]) {
			t.Errorf("%s: request %d is damaged:\n%q\nwithout the agent:\n%q", how, i, rest, plain[i])
		}
	}
}

// TestInjectKeeps: what carries a traceparent already keeps it, and propagation can be switched off.
func TestInjectKeeps(t *testing.T) {
	testenv.RequireRoot(t)
	testenv.RequireInjection(t)
	bin := testenv.Build(t, injectBuilds("testdata/httpclient")[1])
	for _, tt := range []struct {
		name, how string
		env       []string
		want      []string
	}{
		{"carries", "carries", nil, []string{traceparent}},
		{"off", "get", []string{"REMORA_PROPAGATION=none"}, nil},
		{"another propagator", "get", []string{"OTEL_PROPAGATORS=b3"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sink, upstream := testenv.NewSink(t), startRecorder(t)
			target := testenv.StartTarget(t, bin, nil)
			agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", strconv.Itoa(target.PID)}, Env: tt.env})
			agent.WaitTraced(t, target.PID)
			callOnce(t, target, tt.how, "http://"+upstream.Addr().String()+"/path", nil)
			for _, raw := range upstream.taken() {
				if got, _, _ := carried(raw); fmt.Sprint(got) != fmt.Sprint(tt.want) {
					t.Errorf("carries %q, want %q", got, tt.want)
				}
			}
			sink.Wait(t, 2, testenv.Patient(10*time.Second))
		})
	}
}

// TestInjectUnsampled: the flag is the decision, and what is not sampled has no span.
func TestInjectUnsampled(t *testing.T) {
	testenv.RequireRoot(t)
	testenv.RequireInjection(t)
	sink, upstream := testenv.NewSink(t), startRecorder(t)
	target := testenv.StartTarget(t, testenv.Build(t, injectBuilds("testdata/httpclient")[1]), nil)
	agent := testenv.StartAgent(t, testenv.AgentOptions{Sink: sink, Args: []string{"--pid", strconv.Itoa(target.PID)}, Env: []string{"OTEL_TRACES_SAMPLER=always_off"}})
	agent.WaitTraced(t, target.PID)
	for range 10 {
		callOnce(t, target, "get", "http://"+upstream.Addr().String()+"/path", nil)
	}
	for _, raw := range upstream.taken() {
		if got, _, _ := carried(raw); len(got) != 1 || !strings.HasSuffix(got[0], "-00") {
			t.Errorf("carries %q, want one with flag 00", got)
		}
	}
	if n := sink.Len(); n != 0 {
		t.Errorf("%d spans, want none", n)
	}
}

// TestInjectAtTheBuffersEdge: with URLs of all lengths around that of the write buffer, a request carries a whole line or none, and
// is whole itself. What had no room is counted.
func TestInjectAtTheBuffersEdge(t *testing.T) {
	testenv.RequireRoot(t)
	testenv.RequireUserWrites(t)
	sink, upstream := testenv.NewSink(t), startRecorder(t)
	target := testenv.StartTarget(t, testenv.Build(t, injectBuilds("testdata/httpclient")[1]), nil)
	agent := testenv.StartAgent(t, testenv.AgentOptions{
		Sink: sink, Args: []string{"--pid", strconv.Itoa(target.PID)}, Env: []string{"REMORA_INJECT=write"},
	})
	agent.WaitTraced(t, target.PID)
	without := 0
	for n := 3850; n < 4200; n++ {
		path := "/" + strings.Repeat("x", n)
		callOnce(t, target, "get", "http://"+upstream.Addr().String()+path, nil)
		got := upstream.taken()
		if len(got) != 1 {
			t.Fatalf("a URL of %d bytes: %d requests", n, len(got))
		}
		traceparents, _, rest := carried(got[0])
		want := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n\r\n", path, upstream.Addr())
		if string(rest) != want || len(traceparents) > 1 {
			t.Fatalf("a URL of %d bytes: %q", n, got[0])
		}
		if len(traceparents) == 0 {
			without++
		}
	}
	if n := agent.Metric(t, "remora_propagation_failed_total", "reason=no_room"); without == 0 || int(n) != without {
		t.Errorf("%d requests carry nothing, %v are counted", without, n)
	}
}

// TestTracingDamagesNothing does the same where nothing is written into requests.
func TestTracingDamagesNothing(t *testing.T) {
	testenv.RequireRoot(t)
	for _, spec := range injectBuilds("testdata/xnet") {
		t.Run(spec.String(), func(t *testing.T) {
			target := testenv.StartTarget(t, testenv.Build(t, spec), nil)
			agent := testenv.StartAgent(t, testenv.AgentOptions{
				Args: []string{"--pid", strconv.Itoa(target.PID)}, Env: []string{"REMORA_PROPAGATION=none"},
			})
			agent.WaitTraced(t, target.PID)
			sendAll(t, target, *requests, 1, 0)
		})
	}
}

// TestInjectDamagesNothing sends bodies and headers of many sizes through every client while each write of the injection fails in turn, or
// none: both ends compare what they get. -requests says how many of each.
func TestInjectDamagesNothing(t *testing.T) {
	testenv.RequireRoot(t)
	testenv.RequireUserWrites(t)
	for i, spec := range injectBuilds("testdata/xnet") {
		bin := testenv.Build(t, spec)
		for step := uint32(0); step <= bpf.WriteSteps; step++ {
			if i == 0 && step > 0 && step < bpf.WriteSteps {
				continue // where the oldest Go differs, the writes are the same
			}
			t.Run(fmt.Sprintf("%s fail %d", spec, step), func(t *testing.T) {
				target := testenv.StartTarget(t, bin, []string{"GODEBUG=gccheckmark=1"})
				agent := testenv.StartAgent(t, testenv.AgentOptions{
					Args: []string{"--pid", strconv.Itoa(target.PID)}, Env: []string{"REMORA_INJECT=write", fmt.Sprint("REMORA_TEST_FAIL_WRITE=", step)},
				})
				agent.WaitTraced(t, target.PID)
				sendAll(t, target, *requests, 1, 0)
				if target.Exited() {
					t.Errorf("target is gone:\n%s", target.Output())
				}
			})
		}
	}
}

// sendAll sends n requests in each of five ways, from so many connections at a time for each way. Every 50th body is of 1 MB, every tenth header block is of
// many KB; behind the first 400 a twentieth of that. The first request of each way is alone: a server of HTTP/2 hangs up where a connection's SETTINGS have
// not come after two seconds (golang.org/x/net/http2, firstSettingsTimeout), and 65 connections that begin at once take longer in an emulated machine.
func sendAll(t *testing.T, target *testenv.Target, n, connections, least int) {
	t.Helper()
	ways := map[string]string{
		"http1": "http://" + target.Addr("plain"), "http2": "https://" + target.Addr("tls"), "h2c": "http://" + target.Addr("h2c"),
		"xnet": "https://" + target.Addr("configured"), "configured": "https://" + target.Addr("configured"),
	}
	client := &http.Client{Timeout: testenv.Patient(60 * time.Second), Transport: &http.Transport{MaxIdleConnsPerHost: connections * len(ways)}}
	defer client.CloseIdleConnections()
	var group sync.WaitGroup
	for how, base := range ways {
		sendNth(t, client, target, how, base, 0, least)
	}
	for how, base := range ways {
		var sent atomic.Int64
		sent.Store(1)
		for range connections {
			group.Go(func() {
				for i := int(sent.Add(1)) - 1; i < n; i = int(sent.Add(1)) - 1 {
					sendNth(t, client, target, how, base, i, least)
					if i%500 == 499 {
						t.Logf("%s: %d requests", how, i+1)
					}
				}
			})
		}
	}
	group.Wait()
}

// sendNth sends the i-th request in one way. It has so many traceparents at least, and one at most.
func sendNth(t *testing.T, client *http.Client, target *testenv.Target, how, base string, i, least int) {
	headers := []int{100, 0, 1000, 3000, 3700, 3800, 3900, 4000, 4100}
	longHeaders := []int{8000, 16000, 20000, 60000}
	bodies := []int{0, 1, 1000, 20000}
	header, size := headers[i%len(headers)], bodies[i%len(bodies)]
	seldom := 1
	if i >= 400 {
		seldom = 20
	}
	if long := 10 * seldom; i%long == 5 {
		header = longHeaders[i/long%len(longHeaders)]
	}
	if i%(50*seldom) == 3 {
		size = 1 << 20
	}
	to := fmt.Sprintf("%s/echo?header=%d", base, header)
	req, err := http.NewRequest("GET", target.URL(fmt.Sprintf("/call?how=%s&header=%d&size=%d&to=%s", how, header, size, url.QueryEscape(to))), nil)
	if err != nil {
		t.Error(err)
		return
	}
	req.Header.Set("Traceparent", traceparent)
	req.Header.Set("Tracestate", "vendor="+strings.Repeat("s", i%400))
	resp, err := client.Do(req)
	if err != nil {
		t.Errorf("%s, header %d, body %d: %v", how, header, size, err)
		return
	}
	answer, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s, header %d, body %d: %s: %s", how, header, size, resp.Status, answer)
		return
	}
	if n, err := strconv.Atoi(resp.Header.Get("X-Traceparents")); err != nil || n > 1 || n < least {
		t.Errorf("%s, header %d, body %d: %q lines of traceparent", how, header, size, resp.Header.Get("X-Traceparents"))
	}
}
