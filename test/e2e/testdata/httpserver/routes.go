package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"
)

func routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/relay", relay)
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	mux.HandleFunc("/silent", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("/status/", status)
	mux.HandleFunc("/chunked", chunked)
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/trailers", trailers)
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 300000)) })
	mux.HandleFunc("/sized", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "12345")
	})
	mux.HandleFunc("/twice", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(202); w.WriteHeader(500) })
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(103); io.WriteString(w, "ok") })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush() // the caller knows that the request is served
		<-r.Context().Done()
	})
	mux.HandleFunc("/sleep", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush() // the caller knows that the request is served
		time.Sleep(50 * time.Millisecond)
	})
	mux.HandleFunc("/deep", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, deep(20000)) })
	mux.HandleFunc("/mutate", mutate)
	mux.HandleFunc("/hijack/silent", hijack(""))
	mux.HandleFunc("/hijack/reply", hijack("HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n"))
	mux.HandleFunc("/hijack/upgrade", hijack("HTTP/1.1 101 Switching Protocols\r\n\r\n"))
	for name, value := range panics {
		value := value
		mux.HandleFunc("/panic/"+name, func(w http.ResponseWriter, r *http.Request) { panic(value()) })
	}
	mux.HandleFunc("/panic/late", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, strings.Repeat("x", 5000))
		panic("after the header")
	})
	mux.HandleFunc("/panic/index", func(w http.ResponseWriter, r *http.Request) {
		var none []int
		fmt.Fprint(w, none[len(r.URL.Path)])
	})
	mux.HandleFunc("/panic/nil", func(w http.ResponseWriter, r *http.Request) {
		var none *http.Request
		fmt.Fprint(w, none.Method)
	})
	mux.HandleFunc("/recovered", func(w http.ResponseWriter, r *http.Request) {
		defer func() { recover(); w.WriteHeader(500) }()
		panic("caught")
	})
	mux.HandleFunc("/goexit", func(w http.ResponseWriter, r *http.Request) { runtime.Goexit() })
	mux.Handle("/timeout", http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	}), 20*time.Millisecond, "too slow"))

	timed := http.NewServeMux() // matches in a goroutine that the connection's goroutine starts
	timed.HandleFunc("/timed/item", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "timed") })
	mux.Handle("/timed/", http.TimeoutHandler(timed, 10*time.Second, "too slow"))

	inner := http.NewServeMux()
	inner.HandleFunc("/nested/item/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "nested") })
	mux.Handle("/nested/", inner)
	mux.Handle("/copied/", withContext(copied()))
	stripped := http.NewServeMux()
	stripped.HandleFunc("/leaf", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "leaf") })
	mux.Handle("/prefix/", http.StripPrefix("/prefix", stripped))
	mux.HandleFunc("remora.host/onlyhere", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "host") })
	mux.Handle("/redirect", http.RedirectHandler("/hello", http.StatusFound))
	addPatterns(mux)
	return mux
}

func copied() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/copied/item", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "copied") })
	return mux
}

func status(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/status/"))
	if err != nil {
		code = 400
	}
	w.WriteHeader(code)
}

func chunked(w http.ResponseWriter, r *http.Request) {
	for i := 0; i < 3; i++ {
		io.WriteString(w, "part\n")
		w.(http.Flusher).Flush()
	}
}

func trailers(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "X-Checksum")
	io.WriteString(w, "body")
	w.Header().Set("X-Checksum", "1234")
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Write(body)
}

// mutate does to the request what some middleware does: a span tells of the request as it came.
func mutate(w http.ResponseWriter, r *http.Request) {
	r.Method = "CHANGED"
	r.URL = &url.URL{Path: "/changed"}
	r.RequestURI = "/changed"
	r.Host = "changed"
	r.RemoteAddr = "changed"
	r.Header = http.Header{}
	*r = *r.WithContext(context.Background())
	io.WriteString(w, "mutated")
}

func hijack(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		buf.WriteString(answer)
		buf.Flush()
	}
}

// deep grows the stack: each frame holds half a KiB.
//
//go:noinline
func deep(n int) int {
	var frame [64]int
	if n == 0 {
		return 0
	}
	frame[n%64] = deep(n-1) + 1
	return frame[n%64]
}
