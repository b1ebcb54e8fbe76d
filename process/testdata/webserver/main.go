// Webserver is the program whose executable the tests of package process read:
// an HTTP server and client, so that the types that probes need are alive.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
)

// Inner and Outer exercise the resolution of promoted fields.
type Inner struct {
	A int32
	B string
}

// Deep is embedded by pointer.
type Deep struct {
	Pad [3]uint64
	C   map[int32]string
}

// Outer embeds by value and by pointer.
type Outer struct {
	X byte
	Inner
	*Deep
	Next *Outer
}

// Table is a named map whose keys and values have different sizes.
type Table map[uint16][5]string

// Pair is a generic type.
type Pair[K comparable, V any] struct {
	Key   K
	Value V
}

type problem struct{ code int }

func (p *problem) Error() string { return fmt.Sprint("problem ", p.code) }

//go:noinline
func fail(n int) error {
	if n > 3 {
		return &problem{n}
	}
	return errors.New("small")
}

func inlined(n int) int { return n + 41 }

var sink []any

func main() {
	sink = append(sink, &Outer{}, Table{1: {"a"}}, Pair[string, int]{"a", 1}, &Pair[int, *Outer]{})
	for _, v := range sink {
		fmt.Println(reflect.TypeOf(v), inlined(len(os.Args)))
	}
	fmt.Println(fail(len(os.Args)))

	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Path", r.URL.Path)
		fmt.Fprintln(w, "hello", r.Host)
	})
	server := &http.Server{Addr: "127.0.0.1:0", Handler: mux}
	if len(os.Args) < 2 {
		return
	}
	go func() { _ = server.ListenAndServe() }()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, os.Args[1], nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	response, err := http.DefaultClient.Do(request)
	fmt.Println(response, err)
}
