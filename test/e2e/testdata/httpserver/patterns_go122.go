//go:build go1.22

// The go directive of go.mod would choose the mux of Go 1.21.
//go:debug httpmuxgo121=0

package main

import (
	"io"
	"net/http"
)

// addPatterns adds routes as only the ServeMux of Go 1.22 and later knows them.
func addPatterns(mux *http.ServeMux) {
	for _, pattern := range []string{
		"GET /items/{id}",
		"POST /items/{id}",
		"/files/{path...}",
		"GET patterns.host/hosted/{name}/",
		"/exact/{$}",
		"GET /mixed/{a}/and/{b}",
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.PathValue("id")) })
	}
}
