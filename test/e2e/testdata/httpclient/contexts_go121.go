//go:build go1.21

package main

import (
	"context"
	"net/http"
)

func init() {
	ways["withoutcancel"] = func(r *http.Request, to string) string { return inWorker(context.WithoutCancel(r.Context()), to) }
	ways["cause"] = func(r *http.Request, to string) string {
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		return inWorker(ctx, to)
	}
	ways["afterfunc"] = func(r *http.Request, to string) string {
		ctx, cancel := context.WithCancel(r.Context())
		done := make(chan string)
		context.AfterFunc(ctx, func() { done <- get(context.WithoutCancel(ctx), to) })
		cancel()
		return <-done
	}
}
