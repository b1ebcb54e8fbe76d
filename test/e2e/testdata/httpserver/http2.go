package main

import (
	"crypto/tls"
	"fmt"
	"log"
	"net/http"
)

// serveHTTP2 opens a listener for each way in which a program gets HTTP/2, as far as this build has it.
func serveHTTP2(h http.Handler) {
	serveTLS("h2", &http.Server{Handler: h})
	serveNative(h)
	serveXNet(h)
}

// serveTLS offers HTTP/2 by ALPN.
func serveTLS(name string, server *http.Server) {
	if server.TLSConfig == nil {
		server.TLSConfig = &tls.Config{}
	}
	server.TLSConfig.Certificates = []tls.Certificate{certificate()}
	raiseLimits(server)
	l := listen("tcp", "127.0.0.1:0")
	fmt.Println("listening", name, l.Addr())
	go func() { log.Fatal(server.ServeTLS(l, "", "")) }()
}
