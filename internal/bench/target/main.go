// Target is the program of the benchmark. It serves HTTP/1 and HTTP/2 without TLS and answers "ok", so that what a probe adds is a large
// part of a request. With -grpc it serves gRPC. With -call it asks a server instead, from many goroutines, without end. /queries has it
// ask a database.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

func main() {
	to := flag.String("call", "", "ask this URL, or address of a gRPC server, instead of serving")
	rpc := flag.Bool("grpc", false, "gRPC instead of HTTP")
	conns := flag.Int("conns", 32, "goroutines that ask")
	flag.Parse()
	if *to != "" {
		fmt.Println("listening nowhere")
		if *rpc {
			log.Fatal(callGRPC(*to, *conns))
		}
		call(*to, *conns)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", l.Addr())
	if *rpc {
		log.Fatal(serveGRPC(l))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	mux.HandleFunc("/queries", queries)
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: mux, Protocols: &protocols}
	log.Fatal(server.Serve(l))
}

// call asks url from n goroutines. It does not return.
func call(url string, n int) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}}
	for range n {
		go func() {
			for {
				resp, err := client.Get(url)
				if err != nil {
					time.Sleep(time.Millisecond) // the server has left
					continue
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		}()
	}
	select {}
}
