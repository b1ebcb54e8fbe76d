// Httpclient is the target of the end-to-end tests of clients: a server whose handlers call another one in every way.
// It must build with Go 1.18.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening plain", l.Addr())
	http.HandleFunc("/call", call)
	http.HandleFunc("/jobs", jobs)
	http.HandleFunc("/background", background)
	http.HandleFunc("/loop", loop)
	http.HandleFunc("/release", release)
	go func() { log.Fatal(http.Serve(l, nil)) }()
	fmt.Println("ready")
	callInBackground()
}

// call makes the call that the query asks for: how it is made, and to which URL. It answers what came of it.
func call(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	how, ok := ways[q.Get("how")]
	if !ok {
		http.Error(w, "no such way", http.StatusNotFound)
		return
	}
	fmt.Fprint(w, how(r, q.Get("to")))
}
