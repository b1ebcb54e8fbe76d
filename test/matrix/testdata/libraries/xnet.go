package main

import (
	"fmt"
	"net"
	"net/http"

	"golang.org/x/net/http2"
)

func init() { uses = append(uses, serveXNet, requestXNet) }

func serveXNet() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, r.URL.Path) })
	new(http2.Server).ServeConn(conn, &http2.ServeConnOpts{Handler: handler})
	return listener.Close()
}

func requestXNet() error {
	client := &http.Client{Transport: &http2.Transport{}}
	response, err := client.Get("https://127.0.0.1:0/hello")
	if err != nil {
		return err
	}
	return response.Body.Close()
}
