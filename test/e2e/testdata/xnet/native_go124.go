//go:build go1.24

package main

import "net/http"

// serveNative serves HTTP/2 without TLS by net/http alone.
func serveNative(h http.Handler) {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	serve("native", &http.Server{Handler: h, Protocols: &protocols}, nil)
}
