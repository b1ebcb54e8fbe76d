package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/remora-agent/remora/internal/testenv"
)

// A behaviour is raw bytes for the fixture, so that nothing but the test decides what goes over the wire.
type behaviour struct {
	name     string
	since    int    // first Go 1.N in which it exists
	listener string // of the fixture; "plain" if empty
	raw      string // sent as it is; the last request ends the connection
	hangup   bool   // the client leaves when the answer has begun
	spans    int    // one if zero; -1: none
}

const (
	remoteTrace = "0af7651916cd43dd8448eb211c80319c"
	remoteSpan  = "b7ad6b7169203331"
	traceparent = "00-" + remoteTrace + "-" + remoteSpan + "-01"
)

// request writes an HTTP/1.1 request whose connection ends behind it. Lines are further header lines.
func request(method, target string, lines ...string) string {
	return keepAlive(method, target, append(lines, "Connection: close")...)
}

func keepAlive(method, target string, lines ...string) string {
	lines = append([]string{fmt.Sprintf("%s %s HTTP/1.1", method, target), "Host: remora.test:8080", "User-Agent: e2e/1.0"}, lines...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

func get(target string, lines ...string) string { return request("GET", target, lines...) }

// bare writes an HTTP/1.1 request of nothing but the given lines.
func bare(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

func headerLines(n int) []string {
	var lines []string
	for i := 0; i < n; i++ {
		lines = append(lines, fmt.Sprintf("X-Filler-%04d: value %d", i, i))
		if i == n/2 {
			lines = append(lines, "Traceparent: "+traceparent, "Tracestate: middle=1")
		}
	}
	return lines
}

func behaviours() []behaviour {
	all := methodBehaviours()
	for _, more := range [][]behaviour{
		routeBehaviours(), responseBehaviours(), panicBehaviours(), connectionBehaviours(), addressBehaviours(), queryBehaviours(), contextBehaviours(),
	} {
		all = append(all, more...)
	}
	return all
}

func methodBehaviours() []behaviour {
	var all []behaviour
	for _, m := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD", "PROPFIND", "get", "QUERY", "A-VERY-LONG-METHOD-THAT-NOBODY-KNOWS"} {
		all = append(all, behaviour{name: "method " + m, raw: request(m, "/hello")})
	}
	return append(all,
		behaviour{name: "method CONNECT", raw: request("CONNECT", "remora.test:8080")},
		behaviour{name: "OPTIONS *", raw: request("OPTIONS", "*")},
	)
}

func routeBehaviours() []behaviour {
	return []behaviour{
		{name: "route exact", raw: get("/hello")},
		{name: "route none", raw: get("/nowhere")},
		{name: "route subtree", raw: get("/status/204")},
		{name: "route nested mux", raw: get("/nested/item/7")},
		{name: "route nested mux, not found inside", raw: get("/nested/nothing")},
		{name: "route behind a copy of the request", raw: get("/copied/item")},
		{name: "route behind StripPrefix", raw: get("/prefix/leaf")},
		{name: "route of one host", raw: bare("GET /onlyhere HTTP/1.1", "Host: remora.host", "Connection: close")},
		{name: "route, whole server wrapped", listener: "middleware", raw: get("/status/201")},
		{name: "route behind TimeoutHandler", raw: get("/timed/item")},
		{name: "route nested, whole server wrapped", listener: "middleware", raw: get("/nested/item/7")},
		{name: "no mux", listener: "nomux", raw: get("/any/path")},
		{name: "mux cleans the path", raw: get("/hello//../hello")},
		{name: "mux adds a slash", raw: get("/nested")},
		{name: "pattern with method and wildcard", since: 22, raw: get("/items/42")},
		{name: "pattern with another method", since: 22, raw: request("POST", "/items/42", "Content-Length: 0")},
		{name: "pattern, HEAD to a GET pattern", since: 22, raw: request("HEAD", "/items/42")},
		{name: "pattern, method not allowed", since: 22, raw: request("DELETE", "/items/42")},
		{name: "pattern with rest", since: 22, raw: get("/files/a/b/c.txt")},
		{name: "pattern with host", since: 22, raw: bare("GET /hosted/x/y HTTP/1.1", "Host: patterns.host", "Connection: close")},
		{name: "pattern with end", since: 22, raw: get("/exact/")},
		{name: "pattern with end, more path", since: 22, raw: get("/exact/more")},
		{name: "pattern with two wildcards", since: 22, raw: get("/mixed/1/and/2")},
		{name: "pattern, whole server wrapped", since: 22, listener: "middleware", raw: get("/items/42")},
	}
}

func responseBehaviours() []behaviour {
	all := []behaviour{
		{name: "handler writes nothing", raw: get("/silent")},
		{name: "chunked response", raw: get("/chunked")},
		{name: "response with its length", raw: get("/sized")},
		{name: "big response", raw: get("/big")},
		{name: "WriteHeader twice", raw: get("/twice")},
		{name: "early hints", since: 19, raw: get("/hints")},
		{name: "redirect", raw: get("/redirect")},
		{name: "timeout handler", raw: get("/timeout")},
		{name: "recovered panic", raw: get("/recovered")},
		{name: "handler changes the request", raw: get("/mutate")},
		{name: "deep recursion", raw: get("/deep")},
	}
	for _, code := range []int{200, 201, 204, 206, 301, 304, 400, 401, 404, 409, 418, 429, 451, 499, 500, 501, 502, 503, 504, 511, 599, 999} {
		all = append(all, behaviour{name: fmt.Sprint("status ", code), raw: get(fmt.Sprint("/status/", code))})
	}
	return append(all, behaviour{name: "status below 100", raw: get("/status/42")}) // WriteHeader panics
}

func panicBehaviours() []behaviour {
	var all []behaviour
	for _, p := range []string{"string", "empty", "error", "wrapped", "custom", "customstring", "customvalue", "int", "index", "nil", "late", "abort"} {
		all = append(all, behaviour{name: "panic " + p, raw: get("/panic/" + p)})
	}
	return append(all,
		behaviour{name: "panic, whole server wrapped", listener: "middleware", raw: get("/panic/string")},
		behaviour{name: "panic behind an answered request", raw: keepAlive("GET", "/hello") + get("/panic/string"), spans: 2},
		behaviour{name: "panic with a remote parent", raw: get("/panic/string", "Traceparent: "+traceparent)},
		behaviour{name: "Goexit", raw: get("/goexit")},
	)
}

func connectionBehaviours() []behaviour {
	return []behaviour{
		{name: "HTTP/1.0", raw: bare("GET /hello HTTP/1.0")},
		{name: "HTTP/1.0 with host and keep-alive", raw: bare("GET /hello HTTP/1.0", "Host: remora.test", "Connection: keep-alive") + bare("GET /silent HTTP/1.0"), spans: 2},
		{name: "keep-alive", raw: keepAlive("GET", "/hello") + keepAlive("GET", "/silent") + get("/status/404"), spans: 3},
		{name: "pipelined, the first slow", raw: keepAlive("GET", "/sleep") + get("/hello"), spans: 2},
		{name: "chunked request", raw: request("POST", "/echo", "Transfer-Encoding: chunked") + "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"},
		{name: "request with a body", raw: request("POST", "/echo", "Content-Length: 4") + "body"},
		{name: "expect continue", raw: request("POST", "/echo", "Content-Length: 4", "Expect: 100-continue") + "body"},
		{name: "expect something else", raw: request("POST", "/echo", "Content-Length: 4", "Expect: miracles") + "body", spans: -1},
		{name: "not HTTP", raw: "this is no request\r\n\r\n", spans: -1},
		{name: "client leaves", raw: keepAlive("GET", "/slow"), hangup: true},
		{name: "hijacked, no answer", raw: keepAlive("GET", "/hijack/silent")},
		{name: "hijacked, answer", raw: keepAlive("GET", "/hijack/reply")},
		{name: "hijacked, upgrade", raw: keepAlive("GET", "/hijack/upgrade", "Connection: Upgrade", "Upgrade: echo")},
		{name: "TLS", listener: "tls", raw: get("/hello")},
		{name: "TLS panic", listener: "tls", raw: get("/panic/error")},
		{name: "TLS, Host without port", listener: "tls", raw: bare("GET /hello HTTP/1.1", "Host: remora.test", "Connection: close")},
		{name: "unix socket", listener: "unix", raw: get("/hello")},
		{name: "100 header lines", raw: get("/hello", headerLines(100)...)},
		{name: "1000 header lines", raw: get("/hello", headerLines(1000)...)},
	}
}

func addressBehaviours() []behaviour {
	with := func(lines ...string) string {
		return bare(append(append([]string{"GET /hello HTTP/1.1"}, lines...), "Connection: close")...)
	}
	host := "Host: remora.test:8080"
	return []behaviour{
		{name: "Host without port", raw: with("Host: remora.test")},
		{name: "Host IPv4", raw: with("Host: 192.0.2.7:81")},
		{name: "Host IPv6", raw: with("Host: [2001:db8::7]:81")},
		{name: "Host IPv6 without port", raw: with("Host: [2001:db8::7]")},
		{name: "Host empty", raw: with("Host:")},
		{name: "no user agent", raw: with(host)},
		{name: "long user agent", raw: with(host, "User-Agent: "+strings.Repeat("agent ", 100))},
		{name: "absolute request target", raw: bare("GET http://absolute.test:99/hello?q=1 HTTP/1.1", host, "Connection: close")},
		{name: "X-Forwarded-For", raw: with(host, "X-Forwarded-For: 203.0.113.9")},
		{name: "X-Forwarded-For list", raw: with(host, "X-Forwarded-For: 203.0.113.9, 198.51.100.1, 10.0.0.1")},
		{name: "X-Forwarded-For IPv6", raw: with(host, "X-Forwarded-For: 2001:db8::9")},
		{name: "X-Forwarded-Host and -Proto", raw: with(host, "X-Forwarded-Host: public.test:8443", "X-Forwarded-Proto: https")},
		{name: "Forwarded", raw: with(host, `Forwarded: for=203.0.113.9;host=public.test:8443;proto=https;by=10.0.0.1`)},
		{name: "Forwarded IPv6 with port", raw: with(host, `Forwarded: for="[2001:db8::9]:4711"`)},
		{name: "Forwarded list", raw: with(host, `Forwarded: for=203.0.113.9, for=198.51.100.1`)},
		{name: "Forwarded before X-Forwarded-For", raw: with(host, "X-Forwarded-For: 198.51.100.1", "Forwarded: for=203.0.113.9")},
		{name: "Forwarded unknown", raw: with(host, "Forwarded: for=unknown")},
		{name: "Forwarded garbage", raw: with(host, `Forwarded: ;;=",for`)},
	}
}

func queryBehaviours() []behaviour {
	return []behaviour{
		{name: "query", raw: get("/hello?q=remora&page=2")},
		{name: "query empty", raw: get("/hello?")},
		{name: "query redacted", raw: get("/hello?X-Amz-Signature=s1&a=1&sig=s2&AWSAccessKeyId=s3&Signature=s4&X-Goog-Signature=s5&X-Amz-Credential=s6&X-Amz-Security-Token=s7&b=2")},
		{name: "query keys are case-sensitive", raw: get("/hello?SIG=1&signature=2&Sig=3")},
		{name: "query redacted, no value", raw: get("/hello?sig&Signature=")},
		{name: "query redacted, key escaped", raw: get("/hello?%73ig=secret")},
		{name: "query not UTF-8", raw: get("/hello?q=\xff\xfe")},
		{name: "path escaped", raw: get("/status/200%2Fx%20y")},
		{name: "path long", raw: get("/status/" + strings.Repeat("0", 3000) + "?q=1")},
		{name: "query long", raw: get("/hello?q=" + strings.Repeat("x", 3000) + "&sig=secret")},
	}
}

// contextBehaviours follow the W3C Trace Context recommendation, https://www.w3.org/TR/trace-context/#traceparent-header.
func contextBehaviours() []behaviour {
	const id, parent = remoteTrace, remoteSpan
	all := []behaviour{}
	for _, v := range []struct{ name, header string }{
		{"valid", "Traceparent: " + traceparent},
		{"header lower case", "traceparent: " + traceparent},
		{"header odd case", "tRaCePaReNt: " + traceparent},
		{"random flag", "Traceparent: 00-" + id + "-" + parent + "-03"},
		{"unknown flags", "Traceparent: 00-" + id + "-" + parent + "-ff"},
		{"spaces around", "Traceparent:   " + traceparent + "  "},
		{"version ff", "Traceparent: ff-" + id + "-" + parent + "-01"},
		{"version 00 with more", "Traceparent: " + traceparent + "-extra"},
		{"version 00 with a dash behind", "Traceparent: " + traceparent + "-"},
		{"future version", "Traceparent: cc-" + id + "-" + parent + "-01"},
		{"future version with more", "Traceparent: cc-" + id + "-" + parent + "-01-what-the-future"},
		{"future version, more without a dash", "Traceparent: cc-" + id + "-" + parent + "-01.what"},
		{"trace ID upper case", "Traceparent: 00-" + strings.ToUpper(id) + "-" + parent + "-01"},
		{"parent ID upper case", "Traceparent: 00-" + id + "-" + strings.ToUpper(parent[:15]) + "A-01"},
		{"version upper case", "Traceparent: CC-" + id + "-" + parent + "-01"},
		{"flags upper case", "Traceparent: 00-" + id + "-" + parent + "-0A"},
		{"trace ID zero", "Traceparent: 00-" + strings.Repeat("0", 32) + "-" + parent + "-01"},
		{"parent ID zero", "Traceparent: 00-" + id + "-0000000000000000-01"},
		{"trace ID short", "Traceparent: 00-" + id[1:] + "-" + parent + "-01"},
		{"trace ID long", "Traceparent: 00-0" + id + "-" + parent + "-01"},
		{"parent ID short", "Traceparent: 00-" + id + "-" + parent[1:] + "-01"},
		{"not hex", "Traceparent: 00-" + id[:31] + "g-" + parent + "-01"},
		{"no flags", "Traceparent: 00-" + id + "-" + parent},
		{"wrong separators", "Traceparent: 00_" + id + "_" + parent + "_01"},
		{"empty", "Traceparent:"},
		{"two headers", "Traceparent: " + traceparent + "\r\nTraceparent: " + traceparent},
		{"tracestate", "Traceparent: " + traceparent + "\r\nTracestate: foo=1,bar=2"},
		{"two tracestates", "Traceparent: " + traceparent + "\r\nTracestate: foo=1,bar=2\r\nTracestate: baz=3"},
		{"tracestate odd case", "Traceparent: " + traceparent + "\r\ntRaCeStAtE: foo=1"},
		{"tracestate empty", "Traceparent: " + traceparent + "\r\nTracestate:"},
		{"tracestate without traceparent", "Tracestate: foo=1"},
		{"tracestate with a bad traceparent", "Traceparent: nonsense\r\nTracestate: foo=1"},
	} {
		all = append(all, behaviour{name: "traceparent " + v.name, raw: get("/hello", v.header)})
	}
	return append(all, behaviour{
		name: "traceparent not sampled", raw: get("/hello", "Traceparent: 00-"+id+"-"+parent+"-00"), spans: -1, // the sampler follows the parent
	})
}

// send carries a behaviour out and returns the time in which its spans must lie.
func (b behaviour) send(target *testenv.Target) (testenv.Window, error) {
	conn, err := b.dial(target)
	if err != nil {
		return testenv.Window{}, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(testenv.Patient(10 * time.Second)))
	w := testenv.Window{From: time.Now()}
	if _, err := io.WriteString(conn, b.raw); err != nil {
		return w, fmt.Errorf("send: %w", err)
	}
	if b.hangup {
		if _, err := conn.Read(make([]byte, 1)); err != nil { // leave only when the handler runs
			return w, fmt.Errorf("read the answer's beginning: %w", err)
		}
	} else if _, err := io.Copy(io.Discard, conn); err != nil && !strings.Contains(err.Error(), "reset") {
		return w, fmt.Errorf("read the answer: %w", err)
	}
	conn.Close()
	time.Sleep(testenv.Patient(lag))
	w.To = time.Now()
	time.Sleep(testenv.Patient(10 * time.Millisecond)) // well apart from the next one
	return w, nil
}

func (b behaviour) dial(target *testenv.Target) (net.Conn, error) {
	switch b.listener {
	case "":
		return net.Dial("tcp", target.Addr("plain"))
	case "tls":
		return tls.Dial("tcp", target.Addr("tls"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	case "unix":
		return net.Dial("unix", target.Addr("unix"))
	}
	return net.Dial("tcp", target.Addr(b.listener))
}

// want returns how many spans the behaviour makes.
func (b behaviour) want() int {
	switch {
	case b.spans < 0:
		return 0
	case b.spans == 0:
		return 1
	}
	return b.spans
}
