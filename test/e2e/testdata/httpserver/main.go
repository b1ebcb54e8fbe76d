// Httpserver is the target of the end-to-end tests: every way in which a net/http server answers, and does not answer.
// It must build with Go 1.18. With the tag xnet it serves with golang.org/x/net too, whose version the xnet-*.mod choose.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"
)

type contextKey struct{}

// withContext is a middleware as many programs have it: what follows sees a copy of the request.
func withContext(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, time.Now())))
	})
}

func noMux(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "no mux") }

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "address of the plain listener")
	socket := flag.String("unix", "", "path of a unix socket to listen on too")
	delay := flag.Duration("delay", 0, "time before it serves")
	flag.Parse()
	time.Sleep(*delay)
	touchPanicText()

	mux := routes()
	serve("plain", listen("tcp", *addr), mux)
	serve("middleware", listen("tcp", "127.0.0.1:0"), withContext(mux))
	serve("nomux", listen("tcp", "127.0.0.1:0"), http.HandlerFunc(noMux))
	serve("tls", tls.NewListener(listen("tcp", "127.0.0.1:0"), &tls.Config{
		Certificates: []tls.Certificate{certificate()},
		NextProtos:   []string{"http/1.1"},
	}), mux)
	serveHTTP2(mux)
	if *socket != "" {
		serve("unix", listen("unix", *socket), mux)
	}
	fmt.Println("ready")
	select {}
}

func listen(network, addr string) net.Listener {
	l, err := net.Listen(network, addr)
	if err != nil {
		log.Fatal(err)
	}
	return l
}

func serve(name string, l net.Listener, h http.Handler) {
	fmt.Println("listening", name, l.Addr())
	server := &http.Server{Handler: h, MaxHeaderBytes: 4 << 20}
	raiseLimits(server)
	go func() { log.Fatal(server.Serve(l)) }()
}
