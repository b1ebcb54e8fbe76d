package main

import (
	"context"
	"fmt"
	"net/http"
)

// job is a call for somebody else's goroutine.
type job struct {
	ctx  context.Context
	to   string
	done chan string
}

var queue = make(chan job)

func init() {
	for i := 0; i < 8; i++ {
		go func() {
			for j := range queue {
				j.done <- get(j.ctx, j.to)
			}
		}()
	}
}

// inWorker has a worker of a pool, which is older than all requests, make a call.
func inWorker(ctx context.Context, to string) string {
	j := job{ctx, to, make(chan string)}
	queue <- j
	return <-j.done
}

// jobs has a worker call, with the request's context, or with none if the query says so.
func jobs(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	if r.URL.Query().Get("context") == "none" {
		ctx = context.Background()
	}
	fmt.Fprint(w, inWorker(ctx, r.URL.Query().Get("to")))
}
