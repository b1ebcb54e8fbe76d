package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/remora-agent/remora/internal/testenv"
)

// upstream is what the fixture's clients call: it runs in the test's process, which nobody traces.
type upstream struct {
	http1, tls *httptest.Server
	socket     string
	closes     net.Listener // closes connections without an answer
	garbage    net.Listener // answers what is no HTTP
	flaky      *recorder    // closes its connections at the second request
	refused    string       // an address where nobody listens

	mu      sync.Mutex
	headers []http.Header // of the requests
}

func startUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{socket: filepath.Join(t.TempDir(), "upstream"), refused: testenv.FreeAddr(t)}
	mux := http.NewServeMux()
	mux.HandleFunc("/", u.record(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	mux.HandleFunc("/status/", u.record(func(w http.ResponseWriter, r *http.Request) {
		code := 0
		fmt.Sscanf(r.URL.Path, "/status/%d", &code)
		w.WriteHeader(code)
	}))
	mux.HandleFunc("/redirect", u.record(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/redirect/again", http.StatusFound) }))
	mux.HandleFunc("/redirect/again", u.record(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/end", http.StatusFound) }))
	mux.HandleFunc("/slow", u.record(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	u.http1 = httptest.NewServer(mux)
	u.tls = httptest.NewUnstartedServer(mux)
	u.tls.EnableHTTP2 = true
	u.tls.Config.ErrorLog = nil
	u.tls.StartTLS()
	unix, err := net.Listen("unix", u.socket)
	if err != nil {
		t.Fatal(err)
	}
	go http.Serve(unix, mux)
	u.flaky = startRecorder(t)
	u.closes = answering(t, "")
	u.garbage = answering(t, "SSH-2.0-OpenSSH_9.2\r\n\r\n")
	t.Cleanup(func() { u.http1.Close(); u.tls.Close(); unix.Close() })
	return u
}

// record keeps the headers of what the handler gets.
func (u *upstream) record(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.headers = append(u.headers, r.Header)
		u.mu.Unlock()
		h(w, r)
	}
}

// taken returns the headers of the requests since the last call.
func (u *upstream) taken() []http.Header {
	u.mu.Lock()
	defer u.mu.Unlock()
	h := u.headers
	u.headers = nil
	return h
}

// ports are what goldens have words for.
func (u *upstream) ports() map[string]string {
	return map[string]string{
		portOf(u.http1.Listener.Addr().String()): "HTTP", portOf(u.tls.Listener.Addr().String()): "TLS",
		portOf(u.flaky.Addr().String()): "FLAKY", portOf(u.closes.Addr().String()): "CLOSES", portOf(u.garbage.Addr().String()): "GARBAGE", portOf(u.refused): "REFUSED",
	}
}

func portOf(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// answering listens, reads one request from each connection, says text and closes it.
func answering(t *testing.T, text string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			http.ReadRequest(bufio.NewReader(conn))
			io.WriteString(conn, text)
			conn.Close()
		}
	}()
	return l
}
