//go:build xnet

package main

import (
	"log"
	"net/http"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

// serveXNet serves with golang.org/x/net/http2: without TLS, and in place of net/http's own HTTP/2.
func serveXNet(h http.Handler) {
	serve("h2c", listen("tcp", "127.0.0.1:0"), h2c.NewHandler(h, &http2.Server{}))
	server := &http.Server{Handler: h}
	if err := http2.ConfigureServer(server, &http2.Server{}); err != nil {
		log.Fatal(err)
	}
	serveTLS("configured", server)
}
