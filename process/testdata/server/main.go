// Command server is a net/http server, compiled by the tests with several toolchains for the machine code of its
// functions. It is never run.
package main

import (
	"fmt"
	"net/http"
)

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, r.URL.Path) })
	fmt.Println(http.ListenAndServe("localhost:0", mux))
}
