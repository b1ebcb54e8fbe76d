//go:build !go1.27

package main

import "net/http"

func raiseLimits(*http.Server) {}
