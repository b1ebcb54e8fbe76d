// Xnet is the target of the end-to-end tests of HTTP/2: servers and clients of net/http and of golang.org/x/net/http2. It must build
// with Go 1.18.
package main

import (
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
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
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

// call asks for the URL `to` by the client `how`, and answers what that answered. With a body it is a POST with trailers.
func call(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var body io.Reader
	method := "GET"
	if text := q.Get("body"); text != "" {
		method, body = "POST", struct{ io.Reader }{strings.NewReader(text)}
	}
	req, err := http.NewRequestWithContext(r.Context(), method, q.Get("to"), body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if body != nil {
		req.Trailer = http.Header{"X-Begin": {"at the end"}}
	}
	if n, _ := strconv.Atoi(q.Get("header")); n > 0 {
		req.Header.Set("X-Long", strings.Repeat("~", n)) // 13 bits each by HPACK's code: sent as it is
	}
	resp, err := clients[q.Get("how")].Do(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	w.WriteHeader(resp.StatusCode)
	io.Copy(w, resp.Body)
}
