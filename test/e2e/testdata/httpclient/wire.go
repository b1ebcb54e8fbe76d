package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Ways to call that differ in what is on the wire, or in who writes it.
func init() {
	ways["shared"] = func(r *http.Request, to string) string {
		header := http.Header{"X-Shared": {"by all"}}
		return inParallel(16, func(i int) string {
			req := newRequest(r.Context(), "GET", fmt.Sprint(to, "/shared/", i), nil)
			req.Header = header
			return do(req)
		})
	}
	ways["retry"] = func(r *http.Request, to string) string {
		t := new(http.Transport)
		defer t.CloseIdleConnections()
		c := &http.Client{Transport: t}
		return doWith(c, newRequest(r.Context(), "GET", to, nil)) + doWith(c, newRequest(r.Context(), "GET", to, nil))
	}
	ways["h2many"] = func(r *http.Request, to string) string {
		req := newRequest(r.Context(), "GET", to, nil)
		for i := number(r, "headers"); i > 0; i-- {
			req.Header.Set(fmt.Sprintf("X-Header-%03d", i), strings.Repeat("~", 100)) // no shorter by HPACK's code
		}
		return doWith(overHTTP2(), req)
	}
	ways["h2parallel"] = func(r *http.Request, to string) string {
		c := overHTTP2()
		doWith(c, newRequest(r.Context(), "GET", to, nil)) // opens the connection
		return inParallel(32, func(i int) string {
			req := newRequest(r.Context(), "POST", to, strings.NewReader("a body"))
			req.Header.Set("X-Stream", fmt.Sprint(i))
			return doWith(c, req)
		})
	}
	ways["h2deadline"] = func(r *http.Request, to string) string {
		ctx, cancel := context.WithTimeout(r.Context(), 100*time.Millisecond)
		defer cancel()
		return doWith(overHTTP2(), newRequest(ctx, "GET", to, nil))
	}
	ways["late"] = func(r *http.Request, to string) string {
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		return get(ctx, to)
	}
}

func overHTTP2() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
}

// inParallel runs f n times at once.
func inParallel(n int, f func(i int) string) string {
	results := make([]string, n)
	var group sync.WaitGroup
	for i := range results {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			results[i] = f(i)
		}(i)
	}
	group.Wait()
	return strings.Join(results, "\n")
}
