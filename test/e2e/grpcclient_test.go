package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/remora-agent/remora/internal/testenv"
)

// A grpcCall is one way for the fixture to call another one.
type grpcCall struct {
	name string
	hop  string // METHOD+WAY of testdata/grpc
	to   string
	with []string   // further metadata
	code codes.Code // with which the fixture answers; with the way "survives" that is OK whatever comes
}

// grpcUpstream is what the fixture's clients call: an instance of it that nobody traces, and what stands before it.
type grpcUpstream struct {
	*testenv.Target
	dead  string // nobody listens
	late  string // somebody listens after a while
	flaky string // the first connection is told to go away, before its request is looked at
	unix  string // path of a socket
}

func startGRPCUpstream(t *testing.T, bin string) *grpcUpstream {
	t.Helper()
	u := &grpcUpstream{Target: testenv.StartTarget(t, bin, nil), dead: testenv.FreeAddr(t), late: testenv.FreeAddr(t)}
	u.unix = filepath.Join(t.TempDir(), "socket")
	forward(t, listenOn(t, "unix", u.unix), u.Addr("plain"), nil)
	flaky := listenOn(t, "tcp", "127.0.0.1:0")
	u.flaky = flaky.Addr().String()
	forward(t, flaky, u.Addr("plain"), goAway)
	return u
}

func listenOn(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// forward carries what comes in over to addr, but the first connection to first, if that is not nil.
func forward(t *testing.T, l net.Listener, addr string, first func(net.Conn) error) {
	go func() {
		for n := 0; ; n++ {
			in, err := l.Accept()
			if err != nil {
				return
			}
			if n == 0 && first != nil {
				if err := first(in); err != nil {
					t.Errorf("first connection: %v", err)
				}
				continue
			}
			out, err := net.Dial("tcp", addr)
			if err != nil {
				in.Close()
				continue
			}
			go func() { io.Copy(out, in); out.Close() }()
			go func() { io.Copy(in, out); in.Close() }()
		}
	}()
}

// Frames of HTTP/2: https://www.rfc-editor.org/rfc/rfc9113#section-6
const (
	headersFrame  = 1
	settingsFrame = 4
	goAwayFrame   = 7
)

// goAway waits for a request and says that it was not looked at: GOAWAY with a last stream of 0. A client may then send it again.
func goAway(conn net.Conn) error {
	defer conn.Close()
	settings := []byte{0, 0, 0, settingsFrame, 0, 0, 0, 0, 0}
	if _, err := conn.Write(settings); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
		return err
	}
	for {
		var header [9]byte
		if _, err := io.ReadFull(conn, header[:]); err != nil {
			return err
		}
		length := int64(binary.BigEndian.Uint32(append([]byte{0}, header[:3]...)))
		if _, err := io.CopyN(io.Discard, conn, length); err != nil {
			return err
		}
		if header[3] == headersFrame {
			_, err := conn.Write([]byte{0, 0, 8, goAwayFrame, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
			return errors.Join(err, drain(conn))
		}
	}
}

// drain reads to the end: closing with something unread would reset the connection and might overtake what was written.
func drain(conn net.Conn) error {
	conn.SetReadDeadline(time.Now().Add(testenv.Patient(10 * time.Second)))
	_, err := io.Copy(io.Discard, conn)
	return err
}

// ports are what goldens have words for.
func (u *grpcUpstream) ports() map[string]string {
	words := map[string]string{portOf(u.dead): "DEAD", portOf(u.late): "LATE", portOf(u.flaky): "FLAKY"}
	for _, l := range append([]string{"drains", "stops"}, grpcListeners...) {
		words[portOf(u.Addr(l))] = strings.ToUpper(l)
	}
	return words
}

func grpcCalls(u *grpcUpstream) []grpcCall {
	plain := u.Addr("plain")
	all := []grpcCall{
		{name: "Unary", hop: "Unary", to: plain},
		{name: "Upload", hop: "Upload", to: plain},
		{name: "Download", hop: "Download", to: plain},
		{name: "Talk", hop: "Talk", to: plain},
		{name: "TLS", hop: "Unary+tls", to: u.Addr("tls")},
		{name: "through net/http's server", hop: "Talk+tls", to: u.Addr("http-tls")},
		{name: "without a write buffer", hop: "Unary+unbuffered", to: plain},
		{name: "target with a scheme", hop: "Unary+alone", to: "passthrough:///" + plain},
		{name: "target by DNS", hop: "Unary+alone+ready", to: "dns:///" + plain},
		{name: "target that is a socket", hop: "Unary+alone", to: "unix://" + u.unix},
		{name: "carries a traceparent", hop: "Unary+carries", to: plain},
		{name: "parent: context in a goroutine", hop: "Talk+goroutine", to: plain},
		{name: "parent: derived context", hop: "Unary+value", to: plain},
		{name: "parent: background", hop: "Unary+background", to: plain},
		{name: "unknown method", hop: "Nothing", to: plain, code: codes.Unimplemented},
		{name: "unknown service", hop: "/remora.test.Nothing/Do", to: plain, code: codes.Unimplemented},
		{name: "panic of the server", hop: "Talk", to: plain, with: []string{"do", "panic"}, code: codes.Internal},
		{name: "deadline", hop: "Unary+deadline+survives", to: plain, with: []string{"do", "wait"}},
		{name: "deadline of a stream", hop: "Download+deadline+survives", to: plain, with: []string{"do", "wait"}},
		{name: "cancelled", hop: "Unary+cancel+survives", to: plain, with: []string{"do", "wait"}},
		{name: "cancelled stream", hop: "Talk+cancel+survives", to: plain, with: []string{"do", "wait"}},
		{name: "cancelled before", hop: "Unary+late+survives", to: plain},
		{name: "leaves a stream", hop: "Talk+leaves", to: plain},
		{name: "refused", hop: "Unary+alone+survives", to: u.dead},
		{name: "waits until it is ready", hop: "Unary+alone+ready", to: u.late},
		{name: "sent again on a new connection", hop: "Unary+alone", to: u.flaky},
		{name: "server drains", hop: "Talk+alone", to: u.Addr("drains"), with: []string{"do", "end"}},
		{name: "server stops", hop: "Talk+alone+survives", to: u.Addr("stops"), with: []string{"do", "end"}},
		{name: "4 MB", hop: "Unary", to: plain},
	}
	for code := codes.OK + 1; code <= codes.Unauthenticated; code++ {
		all = append(all, grpcCall{name: fmt.Sprint("code ", uint(code)), hop: "Unary", to: plain, with: []string{"code", fmt.Sprint(uint(code)), "message", "as asked"}, code: code})
	}
	for _, method := range []string{"Upload", "Download", "Talk"} {
		all = append(all, grpcCall{name: method + " fails", hop: method, to: plain, with: []string{"code", "13", "message", "as asked"}, code: codes.Internal})
	}
	return all
}

// TestGRPCClient compares the spans of every way to call with testdata/grpcclient.golden: the CLIENT span, and of the SERVER span of what made
// the fixture call its name only.
func TestGRPCClient(t *testing.T) {
	testenv.RequireRoot(t)
	old := grpcBuild{version: "1.36", spec: testenv.BuildSpec{Dir: "testdata/grpc", Go: "1.19.13", Stripped: true, ModFile: "grpc-1.36.mod"}} // as Debian 12's programs
	builds := append(grpcBuilds(), old)
	for _, b := range grpcBuilds() {
		if b.version == "" || *allProfiled && minorOf(b.spec.Go) >= 21 {
			b.spec.Hot = testenv.HotGRPCClient()
			builds = append(builds, b)
		}
	}
	for _, b := range builds {
		t.Run(b.spec.String(), func(t *testing.T) { testGRPCCalls(t, b, noPreparation) })
	}
}

// testGRPCCalls calls before with the fixture's process before each call.
func testGRPCCalls(t *testing.T, b grpcBuild, before func(pid int)) {
	target, agent, sink := traceGRPC(t, b, "REMORA_PROPAGATION=none")
	u := startGRPCUpstream(t, testenv.Build(t, b.spec))
	var sent []exchange
	for _, c := range grpcCalls(u) {
		before(target.PID)
		w, err := c.send(t, target, u)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		sent = append(sent, exchange{c.name, w, 2})
	}
	spans := sink.Wait(t, 2*len(sent), 10*time.Second)
	canon := canonical("")
	canon.Ports = u.ports()
	sections := sectionsOf(t, sent, simplified(t, spans), canon)
	for i := range sections {
		sections[i].Text = strings.ReplaceAll(sections[i].Text, u.unix, "SOCKET")
	}
	testenv.Golden(t, "testdata/grpcclient.golden", b.overlay("testdata/grpcclient.golden"), sections)
	checkGRPCEnd(t, target, agent)
}

// send has the fixture make the call.
func (c grpcCall) send(t *testing.T, target *testenv.Target, u *grpcUpstream) (w testenv.Window, err error) {
	conn, err := connectGRPC(target.Addr("plain"), false, "")
	if err != nil {
		return w, err
	}
	defer conn.Close()
	body := []byte("body")
	if c.name == "4 MB" {
		body = patterned(4 << 20)
	}
	if c.to == u.late {
		time.AfterFunc(200*time.Millisecond, func() { forward(t, listenOn(t, "tcp", u.late), u.Addr("plain"), nil) })
	}
	w.From = time.Now()
	r := rpc{method: "Unary", metadata: append([]string{"route", c.hop + "@" + c.to}, c.with...), body: body, code: c.code}
	got, err := r.do(conn)
	if err == nil && !strings.Contains(c.hop, "+survives") {
		err = r.check(got)
	}
	time.Sleep(testenv.Patient(lag))
	w.To = time.Now()
	time.Sleep(10 * time.Millisecond)
	return w, err
}

// connecting is what the versions say in other words about a connection that cannot be had, lost about one that is gone, and overdue what they
// say when the server noticed a deadline first.
var (
	overdue    = regexp.MustCompile(`^stream terminated by RST_STREAM with error code: CANCEL$`)
	connecting = regexp.MustCompile(`^(connection error: desc|last connection error: connection error: desc) = .*(connection refused)"?$`)
	lost       = regexp.MustCompile(`^(error reading from server: .*|transport is closing|connection error: .*)$`)
)

// simplified leaves of SERVER spans nothing but name and parent. A CLIENT span's peer, which not every call has, must be an address.
func simplified(t *testing.T, spans []testenv.Span) []testenv.Span {
	t.Helper()
	for i, s := range spans {
		if s.Kind.String() == "SPAN_KIND_SERVER" {
			spans[i].Attributes, spans[i].Status = nil, nil
			continue
		}
		attributes := testenv.Attributes(s.Attributes)
		if peer, ok := attributes["network.peer.address"]; ok && peer != `"127.0.0.1"` && !strings.HasPrefix(peer, `"/`) {
			t.Errorf("%s: network.peer.address is %s", s.Name, peer)
		}
		kept := slices.Clone(s.Attributes)[:0]
		for _, kv := range s.Attributes {
			if !strings.HasPrefix(kv.Key, "network.peer.") {
				kept = append(kept, kv)
			}
		}
		spans[i].Attributes = kept
		if s.Status != nil {
			message := connecting.ReplaceAllString(s.Status.Message, "CONNECTING: $2")
			message = lost.ReplaceAllString(message, "CONNECTION LOST")
			if testenv.Attributes(s.Attributes)["error.type"] == `"DEADLINE_EXCEEDED"` {
				message = overdue.ReplaceAllString(message, context.DeadlineExceeded.Error())
			}
			s.Status.Message = message
		}
	}
	return spans
}

// TestGRPCFromHTTP: a call in a handler of net/http is a part of the request.
func TestGRPCFromHTTP(t *testing.T) {
	testenv.RequireRoot(t)
	for _, b := range relayBuilds() {
		t.Run(b.spec.String(), func(t *testing.T) {
			target, agent, sink := traceGRPC(t, b, "REMORA_PROPAGATION=none")
			u := startGRPCUpstream(t, testenv.Build(t, b.spec))
			for i, hop := range []string{"Unary", "Talk+goroutine"} {
				resp, err := http.Get("http://" + target.Addr("http") + "/?route=" + url.QueryEscape(hop+"@"+u.Addr("plain")))
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("%s: %s", hop, resp.Status)
				}
				spans := sink.Wait(t, 2*(i+1), 10*time.Second)[2*i:]
				checkChild(t, spans)
			}
			checkGRPCEnd(t, target, agent)
		})
	}
}

// checkChild: of two spans the CLIENT is the child of the SERVER.
func checkChild(t *testing.T, spans []testenv.Span) {
	t.Helper()
	slices.SortFunc(spans, func(a, b testenv.Span) int { return int(a.Kind) - int(b.Kind) })
	if len(spans) != 2 || spans[0].Kind.String() != "SPAN_KIND_SERVER" || spans[1].Kind.String() != "SPAN_KIND_CLIENT" ||
		string(spans[0].TraceId) != string(spans[1].TraceId) || string(spans[0].SpanId) != string(spans[1].ParentSpanId) {
		t.Errorf("want a SERVER and its CLIENT, got %v", spans)
	}
}
