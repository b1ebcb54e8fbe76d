package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/remora-agent/remora/internal/testenv"
)

// A streamBehaviour is what a client does on a connection of its own.
type streamBehaviour struct {
	name     string
	since    int // first Go 1.N in which it exists
	requests []streamRequest
	unsent   bool // the sampler refuses: no spans
}

// streamRequest is sent as soon as the one before it is under way; each makes a span.
type streamRequest struct {
	method, path string
	header       http.Header
	body         string
	host         string // remora.test:8080 if empty
	broken       bool   // the server ends the stream without a whole answer
	leave        leave
	begun        func() // called when the answer has begun, or will not
}

// leave is how a client gives up while the handler runs.
type leave int

const (
	stays leave = iota
	resets
	disconnects
)

func one(name string, r streamRequest) streamBehaviour {
	return streamBehaviour{name: name, requests: []streamRequest{r}}
}

func http2Get(path string) streamBehaviour { return one(path, streamRequest{path: path}) }

func http2Behaviours() []streamBehaviour {
	var all []streamBehaviour
	for _, more := range [][]streamBehaviour{
		http2MethodBehaviours(), http2RouteBehaviours(), http2ResponseBehaviours(), http2PanicBehaviours(), http2StreamBehaviours(), http2ContextBehaviours(),
	} {
		all = append(all, more...)
	}
	return all
}

func http2MethodBehaviours() []streamBehaviour {
	var all []streamBehaviour
	for _, m := range []string{"GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PROPFIND"} {
		all = append(all, one("method "+m, streamRequest{method: m, path: "/hello"}))
	}
	return all
}

func http2RouteBehaviours() []streamBehaviour {
	all := []streamBehaviour{
		http2Get("/nowhere"), http2Get("/nested/item/7"), http2Get("/nested/nothing"), http2Get("/copied/item"), http2Get("/prefix/leaf"),
		http2Get("/timed/item"), http2Get("/hello//../hello"), http2Get("/nested"), http2Get("/redirect"), http2Get("/mutate"),
		http2Get("/hello?q=remora&sig=secret"),
		one("route of one host", streamRequest{path: "/onlyhere", host: "remora.host"}),
	}
	for _, path := range []string{"/items/42", "/files/a/b/c.txt", "/exact/", "/exact/more", "/mixed/1/and/2"} {
		b := http2Get(path)
		b.since = 22
		all = append(all, b)
	}
	for _, m := range []string{"HEAD", "DELETE"} {
		b := one(m+" /items/42", streamRequest{method: m, path: "/items/42"})
		b.since = 22
		all = append(all, b)
	}
	return all
}

func http2ResponseBehaviours() []streamBehaviour {
	all := []streamBehaviour{
		http2Get("/silent"), http2Get("/chunked"), http2Get("/sized"), http2Get("/big"), http2Get("/twice"), http2Get("/trailers"),
		http2Get("/timeout"), http2Get("/recovered"), http2Get("/deep"),
		one("hijack", streamRequest{path: "/hijack/silent", broken: true}), // HTTP/2 has none: the handler panics
		one("HEAD of a big response", streamRequest{method: "HEAD", path: "/big"}),
		one("request with a body", streamRequest{method: "POST", path: "/echo", body: "body"}),
		one("request with a big body", streamRequest{method: "POST", path: "/echo", body: strings.Repeat("x", 200000)}),
		one("request with a body that nobody reads", streamRequest{method: "POST", path: "/hello", body: "body"}),
	}
	for _, code := range []int{200, 201, 204, 301, 304, 400, 404, 418, 499, 500, 503, 599, 999} {
		all = append(all, http2Get(fmt.Sprint("/status/", code)))
	}
	hints := http2Get("/hints")
	hints.since = 19
	return append(all, hints, one("status below 100", streamRequest{path: "/status/42", broken: true}))
}

func http2PanicBehaviours() []streamBehaviour {
	var all []streamBehaviour
	for _, p := range []string{"string", "empty", "error", "wrapped", "custom", "customstring", "customvalue", "int", "index", "nil", "late", "abort"} {
		all = append(all, one("panic "+p, streamRequest{path: "/panic/" + p, broken: true}))
	}
	return append(all,
		one("Goexit", streamRequest{path: "/goexit", broken: true}),
		streamBehaviour{name: "a panic leaves the connection to others", requests: []streamRequest{
			{path: "/sleep"}, {path: "/panic/string", broken: true}, {path: "/hello"},
		}},
	)
}

func http2StreamBehaviours() []streamBehaviour {
	filled := http.Header{}
	for i := 0; i < 100; i++ {
		filled.Set(fmt.Sprintf("X-Filler-%04d", i), fmt.Sprint("value ", i))
	}
	filled.Set("Traceparent", traceparent)
	return []streamBehaviour{
		{name: "two at once", requests: []streamRequest{{path: "/sleep"}, {path: "/hello"}}},
		{name: "two at once, each with its parent", requests: []streamRequest{
			{path: "/sleep", header: http.Header{"Traceparent": {traceparent}}}, {path: "/hello"},
		}},
		one("client resets the stream", streamRequest{path: "/slow", leave: resets}),
		one("client disconnects", streamRequest{path: "/slow", leave: disconnects}),
		one("100 headers", streamRequest{path: "/hello", header: filled}),
		one("X-Forwarded-For", streamRequest{path: "/hello", header: http.Header{"X-Forwarded-For": {"203.0.113.9"}, "X-Forwarded-Proto": {"gopher"}}}),
		one("no user agent", streamRequest{path: "/hello", header: http.Header{"User-Agent": {""}}}),
		one("host without a port", streamRequest{path: "/hello", host: "remora.test"}),
	}
}

func http2ContextBehaviours() []streamBehaviour {
	parent := func(name string, traceparents []string, states ...string) streamBehaviour {
		return one("traceparent "+name, streamRequest{path: "/hello", header: http.Header{"Traceparent": traceparents, "Tracestate": states}})
	}
	unsampled := parent("not sampled", []string{strings.TrimSuffix(traceparent, "1") + "0"})
	unsampled.unsent = true // the sampler follows the parent
	return []streamBehaviour{
		parent("valid", []string{traceparent}),
		parent("tracestate", []string{traceparent}, "foo=1,bar=2"),
		parent("two tracestates", []string{traceparent}, "foo=1,bar=2", "baz=3"),
		parent("tracestate alone", nil, "foo=1"),
		parent("two headers", []string{traceparent, traceparent}),
		parent("not hex", []string{strings.Replace(traceparent, "0af", "0ag", 1)}),
		one("panic with a remote parent", streamRequest{path: "/panic/string", broken: true, header: http.Header{"Traceparent": {traceparent}}}),
		unsampled,
	}
}

// want returns how many spans the behaviour makes.
func (b streamBehaviour) want() int {
	if b.unsent {
		return 0
	}
	return len(b.requests)
}

// send carries a behaviour out and returns the time in which its spans must lie.
func (b streamBehaviour) send(l http2Listener, addr string) (testenv.Window, error) {
	client, err := newHTTP2Client(l.scheme + "://" + addr)
	if err != nil {
		return testenv.Window{}, err
	}
	w := testenv.Window{From: time.Now()}
	errs := make([]error, len(b.requests))
	var group sync.WaitGroup
	for i, r := range b.requests {
		begun := make(chan struct{})
		r.begun = sync.OnceFunc(func() { close(begun) })
		group.Go(func() { errs[i] = client.do(r) })
		<-begun // or the order of their starts is not known
	}
	group.Wait()
	client.close()
	time.Sleep(testenv.Patient(lag))
	w.To = time.Now()
	time.Sleep(testenv.Patient(10 * time.Millisecond)) // well apart from the next one
	return w, errors.Join(errs...)
}

// leaves says whether the client leaves a handler behind.
func (b streamBehaviour) leaves() bool {
	return slices.ContainsFunc(b.requests, func(r streamRequest) bool { return r.leave != stays })
}

// http2Client speaks nothing but HTTP/2, on one connection, which stands before the first request: what comes after it depends on
// nothing but the server.
type http2Client struct {
	base    string
	timeout context.Context
	cancel  context.CancelFunc
	socket  net.Conn
	conn    *http.ClientConn
}

func newHTTP2Client(base string) (*http2Client, error) {
	c := &http2Client{base: base}
	c.timeout, c.cancel = context.WithTimeout(context.Background(), testenv.Patient(10*time.Second))
	transport := &http.Transport{
		Protocols:          new(http.Protocols),
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true},
		DisableCompression: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			c.socket = conn
			return conn, err
		},
	}
	transport.Protocols.SetHTTP2(true)
	transport.Protocols.SetUnencryptedHTTP2(true)
	scheme, addr, _ := strings.Cut(base, "://")
	var err error
	if c.conn, err = transport.NewClientConn(c.timeout, scheme, addr); err != nil {
		c.cancel()
		return nil, fmt.Errorf("connect to %s: %w", base, err)
	}
	return c, nil
}

func (c *http2Client) close() {
	c.socket.Close()
	c.conn.Close()
	c.cancel()
}

// do sends a request and reads its answer, unless the client leaves before.
func (c *http2Client) do(r streamRequest) error {
	ctx, cancel := context.WithCancel(c.timeout)
	defer cancel()
	req, err := r.make(ctx, c.base)
	if err != nil {
		return err
	}
	err = c.answer(req, func() {
		if r.begun != nil {
			r.begun()
		}
		switch r.leave {
		case resets:
			cancel()
		case disconnects:
			c.socket.Close()
		}
	})
	if (err != nil) != (r.broken || r.leave != stays) {
		return fmt.Errorf("%s %s: got error %w, want one: %v", req.Method, r.path, err, r.broken)
	}
	return nil
}

func (c *http2Client) answer(req *http.Request, begun func()) error {
	resp, err := c.conn.RoundTrip(req)
	begun()
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 {
		return fmt.Errorf("answer in %s", resp.Proto)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func (r streamRequest) make(ctx context.Context, base string) (*http.Request, error) {
	var body io.Reader
	if r.body != "" {
		body = strings.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, base+r.path, body)
	if err != nil {
		return nil, err
	}
	req.Header = r.header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	if _, ok := req.Header["User-Agent"]; !ok {
		req.Header.Set("User-Agent", "e2e/1.0")
	}
	req.Host = r.host
	if req.Host == "" {
		req.Host = "remora.test:8080"
	}
	return req, nil
}
