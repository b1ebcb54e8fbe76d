//go:build !go1.24

package main

import "net/http"

func serveNative(http.Handler) {}
