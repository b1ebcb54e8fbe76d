//go:build !xnet

package main

import "net/http"

func serveXNet(http.Handler) {}
