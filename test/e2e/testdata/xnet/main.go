// Xnet is the target of the end-to-end tests of HTTP/2: servers and clients of net/http and of golang.org/x/net/http2. It must build
// with Go 1.18.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	mux.HandleFunc("/silent", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("/status/", status)
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 300000)) })
	mux.HandleFunc("/trailers", trailers)
	mux.HandleFunc("/panic", func(w http.ResponseWriter, r *http.Request) { panic("boom") })
	mux.HandleFunc("/late", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "some"); panic("late") })
	mux.HandleFunc("/abort", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/wait", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.Handle("/copied", withContext(mux))
	mux.HandleFunc("/inner", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "inner") })
	mux.HandleFunc("/call", call)

	serve("plain", &http.Server{Handler: mux}, nil)
	serve("h2c", &http.Server{Handler: h2c.NewHandler(mux, &http2.Server{})}, nil)
	serve("tls", &http.Server{Handler: mux}, &tls.Config{Certificates: []tls.Certificate{certificate()}})
	configured := &http.Server{Handler: mux, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate()}}}
	if err := http2.ConfigureServer(configured, nil); err != nil {
		log.Fatal(err)
	}
	serve("configured", configured, configured.TLSConfig)
	serveNative(mux)
	fmt.Println("ready")
	select {}
}

func serve(name string, s *http.Server, config *tls.Config) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", name, l.Addr())
	if config == nil {
		go s.Serve(l)
		return
	}
	s.TLSConfig = config
	go s.ServeTLS(l, "", "")
}

func status(w http.ResponseWriter, r *http.Request) {
	code, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/status/"))
	w.WriteHeader(code)
}

func trailers(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "X-End")
	io.Copy(w, r.Body)
	w.Header().Set("X-End", r.Trailer.Get("X-Begin"))
}

type key struct{}

// withContext is a middleware as many programs have it: what follows sees a copy of the request.
func withContext(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(context.WithValue(r.Context(), key{}, time.Now()))
		r.URL.Path = "/inner"
		next.ServeHTTP(w, r)
	})
}

var (
	insecure = &tls.Config{InsecureSkipVerify: true}

	// clients are the ways to ask for a URL.
	clients = map[string]*http.Client{
		"http1": {Transport: &http.Transport{TLSClientConfig: insecure, MaxIdleConnsPerHost: 64}},
		"http2": {Transport: &http.Transport{TLSClientConfig: insecure, ForceAttemptHTTP2: true}},
		"h2c": {Transport: &http2.Transport{AllowHTTP: true, DialTLS: func(network, addr string, _ *tls.Config) (net.Conn, error) {
			return net.Dial(network, addr)
		}}},
		"xnet":       {Transport: &http2.Transport{TLSClientConfig: insecure}},
		"configured": {Transport: configured()},
	}
)

func configured() *http.Transport {
	t := &http.Transport{TLSClientConfig: insecure.Clone()}
	if err := http2.ConfigureTransport(t); err != nil {
		log.Fatal(err)
	}
	return t
}

// echo answers with the request's body, and says what its long header is if that is not what call sends.
func echo(w http.ResponseWriter, r *http.Request) {
	if long := r.Header.Get("X-Long"); strings.Trim(long, "~") != "" || fmt.Sprint(len(long)) != r.URL.Query().Get("header") {
		http.Error(w, "damaged header", http.StatusBadRequest)
		return
	}
	w.Header().Set("X-Traceparents", fmt.Sprint(len(r.Header["Traceparent"])))
	body, err := io.ReadAll(r.Body) // first: a server of HTTP/1 stops reading when it has begun to answer
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Write(body)
}

// pattern returns n bytes that differ from their neighbours.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// call asks for the URL `to` by the client `how`, and answers what that answered. With a body of `size` bytes it is a POST with
// trailers, and the answer must be that body.
func call(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	size, _ := strconv.Atoi(q.Get("size"))
	header, _ := strconv.Atoi(q.Get("header"))
	method, body := "GET", io.Reader(nil)
	if size > 0 {
		method, body = "POST", struct{ io.Reader }{bytes.NewReader(pattern(size))}
	}
	req, err := http.NewRequestWithContext(r.Context(), method, q.Get("to"), body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if size > 0 {
		req.Trailer = http.Header{"X-Begin": {"at the end"}}
	}
	if header > 0 {
		req.Header.Set("X-Long", strings.Repeat("~", header)) // 13 bits each by HPACK's code: sent as it is
	}
	resp, err := clients[q.Get("how")].Do(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || size > 0 && resp.StatusCode == http.StatusOK && !bytes.Equal(got, pattern(size)) {
		http.Error(w, fmt.Sprintf("damaged body: %d bytes of %d, %v", len(got), size, err), http.StatusBadGateway)
		return
	}
	w.Header()["X-Traceparents"] = resp.Header["X-Traceparents"]
	w.WriteHeader(resp.StatusCode)
	if size == 0 || resp.StatusCode != http.StatusOK {
		w.Write(got)
	}
}
