package rig

import (
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestLoadHTTP2Counts(t *testing.T) {
	var served atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Protocols: &protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		if r.ProtoMajor != 2 || r.Method != "GET" || r.URL.Path != "/" || r.Host != l.Addr().String() || r.UserAgent() != "rig" {
			t.Errorf("got %s %s of %s by %s", r.Proto, r.URL, r.Host, r.UserAgent())
		}
		io.WriteString(w, "ok")
	})}
	go s.Serve(l)
	defer s.Close()
	n, took, err := LoadHTTP2(l.Addr().String(), 3, 50*time.Millisecond)
	if err != nil || took < 50*time.Millisecond || n == 0 {
		t.Errorf("%d in %v, error %v", n, took, err)
	}
	if got := served.Load(); got < int64(n) || got > int64(n)+3*depth {
		t.Errorf("counted %d, served %d", n, got)
	}
}

func TestResponderCounts(t *testing.T) {
	r, err := NewResponder()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var asked atomic.Int64
	var clients sync.WaitGroup
	for range 3 {
		clients.Go(func() {
			for {
				resp, err := http.Get("http://" + r.Addr)
				if err != nil {
					return // closed
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if string(body) != "ok" {
					t.Errorf("answer %q", body)
				}
				asked.Add(1)
			}
		})
	}
	n, _, err := r.Serve(50 * time.Millisecond)
	if err != nil || n == 0 {
		t.Errorf("%d requests, error %v", n, err)
	}
	r.Close()
	clients.Wait()
	if got := asked.Load(); got > int64(n) || got < int64(n)-3 {
		t.Errorf("answered %d, clients got %d", n, got)
	}
}
