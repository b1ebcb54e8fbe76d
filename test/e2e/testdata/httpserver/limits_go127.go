//go:build go1.27

package main

import "net/http"

// raiseLimits lets a request have more header lines than the 500 that Go 1.27 begins to refuse.
func raiseLimits(s *http.Server) { s.MaxHeaderValueCount = 10000 }
