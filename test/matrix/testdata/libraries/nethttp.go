package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

func init() { uses = append(uses, serveHTTP, requestHTTP) }

func serveHTTP() error {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello", r.URL.Path)
	})
	server := &http.Server{Addr: "127.0.0.1:0", Handler: mux}
	defer server.Close()
	if err := server.ListenAndServe(); err != nil {
		return err
	}
	return server.ListenAndServeTLS("cert.pem", "key.pem") // HTTP/2 too
}

func requestHTTP() error {
	response, err := http.Post("https://127.0.0.1:0/hello", "text/plain", strings.NewReader("body"))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}
