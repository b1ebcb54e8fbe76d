package e2e

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/remora-agent/remora/internal/testenv"
)

// TestH2CUpgrade: a request of HTTP/1.1 that asks for HTTP/2 (RFC 7540, section 3.2) is answered as stream 1. The handler of
// golang.org/x/net/http2/h2c gets it twice, and so there are two spans: that of the HTTP/1.1 request ends with its connection. From Go 1.22 ServeMux notes its
// pattern in the request, which is the same for both, unless net/http serves it for golang.org/x/net.
func TestH2CUpgrade(t *testing.T) {
	testenv.RequireRoot(t)
	for i, spec := range strippedXNet() {
		t.Run(spec.String(), func(t *testing.T) {
			target, _, sink := traced(t, spec)
			addr := target.Addr("h2c")
			w := testenv.Window{From: time.Now()}
			if err := upgrade(addr); err != nil {
				t.Fatal(err)
			}
			sink.Wait(t, 2, 10*time.Second) // the connection's goroutine ends behind the connection
			w.To = time.Now()
			name := "upgrade"
			if minorOf(spec.Go) >= 22 && i > 0 {
				name = "upgrade, the pattern noted"
			}
			sections := collect(t, sink, []exchange{{name, w, 2}}, addr)
			compare := testenv.CompareGolden
			if spec.Go == newest() { // the others make no difference, so they must not write one down
				compare = testenv.Golden
			}
			compare(t, "testdata/h2cupgrade.golden", "", sections)
		})
	}
}

// upgrade sends one request and reads its answer to the end of its stream.
func upgrade(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(testenv.Patient(10 * time.Second)))
	settings := "AAMAAABkAAQAAP__" // at most 100 streams, a window of 65,535 bytes
	ask := bare("GET /hello HTTP/1.1", "Host: remora.test:8080", "User-Agent: e2e/1.0", "Traceparent: "+traceparent,
		"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: "+settings)
	if _, err := io.WriteString(conn, ask); err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	answers := bufio.NewReader(conn)
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("answer %s, want status 101", resp.Status)
	}
	const preface, emptySettings = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	if _, err := io.WriteString(conn, preface+emptySettings); err != nil {
		return fmt.Errorf("send preface: %w", err)
	}
	return readStream(answers)
}

// readStream reads frames (RFC 9113, section 4.1) to the one that ends stream 1.
func readStream(r io.Reader) error {
	const data, headers, endStream = 0, 1, 1
	for {
		var frame [9]byte // length (3 bytes), type, flags, stream (4 bytes)
		if _, err := io.ReadFull(r, frame[:]); err != nil {
			return fmt.Errorf("read frame: %w", err)
		}
		length := int64(frame[0])<<16 | int64(frame[1])<<8 | int64(frame[2])
		if _, err := io.CopyN(io.Discard, r, length); err != nil {
			return fmt.Errorf("read frame's payload: %w", err)
		}
		if (frame[3] == data || frame[3] == headers) && frame[4]&endStream != 0 && binary.BigEndian.Uint32(frame[5:]) == 1 {
			return nil
		}
	}
}
