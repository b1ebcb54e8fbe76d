// Shop is the demo's service: an ordinary net/http program that knows nothing of tracing.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening", l.Addr())
	server := &http.Server{
		Handler:  newShop().routes(),
		ErrorLog: log.New(io.Discard, "", 0), // the stacks of the demo's panics
	}
	log.Fatal(server.Serve(l))
}
