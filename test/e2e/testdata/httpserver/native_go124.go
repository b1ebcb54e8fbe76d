//go:build go1.24

package main

import (
	"fmt"
	"log"
	"net/http"
)

// serveNative serves HTTP/2 without TLS, as net/http does by itself: to clients that know beforehand.
func serveNative(h http.Handler) {
	server := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	server.Protocols.SetUnencryptedHTTP2(true)
	raiseLimits(server)
	l := listen("tcp", "127.0.0.1:0")
	fmt.Println("listening native", l.Addr())
	go func() { log.Fatal(server.Serve(l)) }()
}
