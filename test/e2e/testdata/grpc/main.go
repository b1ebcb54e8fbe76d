// Grpc is the target of the end-to-end tests of gRPC: servers of all kinds, and in their handlers clients of all kinds. It must build with
// Go 1.18 and google.golang.org/grpc 1.40.
package main

import (
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"net/http"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// largest is the longest message, in bytes, that servers and clients take.
const largest = 64 << 20

func main() {
	config := &tls.Config{Certificates: []tls.Certificate{certificate()}, NextProtos: []string{"h2"}}
	serve("plain", newServer(nil))
	serve("tls", newServer(nil, grpc.Creds(credentials.NewTLS(config))))
	serve("workers", newServer(nil, grpc.NumStreamWorkers(4)))
	serve("small", newServer(nil, grpc.MaxHeaderListSize(8<<10)))
	serveUntil("stops", (*grpc.Server).Stop)
	serveUntil("drains", (*grpc.Server).GracefulStop)
	serveHTTP(config)
	fmt.Println("ready")
	select {}
}

// newServer has the interceptors that many programs have: they make errors of panics. Handlers use end to ask for its end.
func newServer(end chan<- struct{}, options ...grpc.ServerOption) *grpc.Server {
	s := grpc.NewServer(append(options,
		grpc.UnaryInterceptor(recoverUnary), grpc.StreamInterceptor(recoverStream),
		grpc.MaxRecvMsgSize(largest), grpc.MaxSendMsgSize(largest),
	)...)
	s.RegisterService(&service, &relay{end: end})
	return s
}

func serve(name string, s *grpc.Server) {
	l := listen(name)
	go s.Serve(l)
}

func listen(name string) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", name, l.Addr())
	return l
}

// serveUntil serves until a handler asks for the end.
func serveUntil(name string, stop func(*grpc.Server)) {
	end := make(chan struct{}, 1)
	s := newServer(end)
	serve(name, s)
	go func() { <-end; stop(s) }()
}

// serveHTTP serves gRPC by net/http's HTTP/2 server, with TLS and without, and plain HTTP whose handler calls by gRPC.
func serveHTTP(config *tls.Config) {
	handler := newServer(nil)
	secure := &http.Server{Handler: handler, TLSConfig: config}
	go secure.ServeTLS(listen("http-tls"), "", "")
	clear := &http.Server{Handler: h2c.NewHandler(handler, &http2.Server{})}
	go clear.Serve(listen("h2c"))
	front := &http.Server{Handler: http.HandlerFunc(callFromHTTP)}
	go front.Serve(listen("http"))
}
