package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
)

var calls = make(chan string)

// callInBackground makes calls that belong to no request, in the program's first goroutine.
func callInBackground() {
	for to := range calls {
		get(context.Background(), to)
	}
}

// background has the first goroutine call n times.
func background(w http.ResponseWriter, r *http.Request) {
	for i := number(r, "n"); i > 0; i-- {
		calls <- r.URL.Query().Get("to")
	}
}

var released = make(chan chan struct{})

// loop starts a goroutine that outlives the request: it calls n times, without context, as soon as /release lets it.
func loop(w http.ResponseWriter, r *http.Request) {
	n, to := number(r, "n"), r.URL.Query().Get("to")
	go func() {
		done := <-released
		for i := 0; i < n; i++ {
			get(context.Background(), to)
		}
		close(done)
	}()
}

// release lets a loop run and answers when it is over.
func release(w http.ResponseWriter, r *http.Request) {
	done := make(chan struct{})
	released <- done
	<-done
	fmt.Fprint(w, "done")
}

func number(r *http.Request, name string) int {
	n, _ := strconv.Atoi(r.URL.Query().Get(name))
	return n
}
