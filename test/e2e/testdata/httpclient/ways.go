package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

// ways are how a handler that serves r calls the URL.
var ways = map[string]func(r *http.Request, to string) string{
	"get":        func(r *http.Request, to string) string { return get(r.Context(), to) },
	"nocontext":  func(r *http.Request, to string) string { return get(nil, to) },
	"background": func(r *http.Request, to string) string { return get(context.Background(), to) },
	"post": func(r *http.Request, to string) string {
		return do(newRequest(r.Context(), "POST", to, strings.NewReader("a body")))
	},
	"chunked": func(r *http.Request, to string) string {
		return do(newRequest(r.Context(), "PUT", to, struct{ io.Reader }{strings.NewReader("a body of unknown length")}))
	},
	"expect": func(r *http.Request, to string) string {
		req := newRequest(r.Context(), "POST", to, strings.NewReader("a body"))
		req.Header.Set("Expect", "100-continue")
		return do(req)
	},
	"head":   func(r *http.Request, to string) string { return do(newRequest(r.Context(), "HEAD", to, nil)) },
	"method": func(r *http.Request, to string) string { return do(newRequest(r.Context(), "PROPFIND", to, nil)) },
	"opaque": func(r *http.Request, to string) string {
		req := newRequest(r.Context(), "GET", to, nil)
		req.URL.Opaque = "//" + req.URL.Host + "/opaque%2Fpath"
		return do(req)
	},
	"carries": func(r *http.Request, to string) string {
		req := newRequest(r.Context(), "GET", to, nil)
		// Made when it is needed, as an SDK does.
		req.Header.Set("Traceparent", strings.Join([]string{"00", "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "01"}, "-"))
		return do(req)
	},
	"manyheaders": func(r *http.Request, to string) string {
		req := newRequest(r.Context(), "GET", to, nil)
		for i := 0; i < 500; i++ {
			req.Header.Set(fmt.Sprintf("X-Header-%03d", i), strings.Repeat("v", 100))
		}
		return do(req)
	},
	"noredirect": func(r *http.Request, to string) string {
		c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		return doWith(c, newRequest(r.Context(), "GET", to, nil))
	},
	"transport": func(r *http.Request, to string) string {
		resp, err := new(http.Transport).RoundTrip(newRequest(r.Context(), "GET", to, nil))
		return outcome(resp, err)
	},
	"wrapped": func(r *http.Request, to string) string {
		return doWith(&http.Client{Transport: wrapper{http.DefaultTransport}}, newRequest(r.Context(), "GET", to, nil))
	},
	"insecure": func(r *http.Request, to string) string {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		return doWith(c, newRequest(r.Context(), "GET", to, nil))
	},
	"http2": func(r *http.Request, to string) string {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
		return doWith(c, newRequest(r.Context(), "GET", to, nil)) + doWith(c, newRequest(r.Context(), "POST", to, strings.NewReader("a body")))
	},
	"trailers": func(r *http.Request, to string) string {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
		req := newRequest(r.Context(), "POST", to, struct{ io.Reader }{strings.NewReader("a body")})
		req.Trailer = http.Header{"X-Trailer": {"at the end"}}
		return doWith(c, req)
	},
	"proxy": func(r *http.Request, to string) string {
		u, err := url.Parse(to)
		if err != nil {
			return err.Error()
		}
		proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: u.Scheme, Host: u.Host})
		in := r.Clone(r.Context())
		in.URL, in.RequestURI = &url.URL{Path: u.Path}, ""
		w := httptest.NewRecorder()
		proxy.ServeHTTP(w, in)
		return fmt.Sprint(w.Code)
	},
	"unix": func(r *http.Request, to string) string {
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", to)
		}
		c := &http.Client{Transport: &http.Transport{DialContext: dial}}
		return doWith(c, newRequest(r.Context(), "GET", "http://over.unix/path", nil))
	},
	"timeout": func(r *http.Request, to string) string {
		return doWith(&http.Client{Timeout: 100 * time.Millisecond}, newRequest(r.Context(), "GET", to, nil))
	},
	"deadline": func(r *http.Request, to string) string {
		ctx, cancel := context.WithTimeout(r.Context(), 100*time.Millisecond)
		defer cancel()
		return get(ctx, to)
	},
	"cancel": func(r *http.Request, to string) string {
		ctx, cancel := context.WithCancel(r.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		return get(ctx, to)
	},
	// In a goroutine that knows nothing of the request but the context.
	"values": func(r *http.Request, to string) string {
		ctx, cancel := context.WithCancel(context.WithValue(r.Context(), key{}, 1))
		defer cancel()
		ctx, cancel = context.WithTimeout(context.WithValue(ctx, key{}, 2), time.Minute)
		defer cancel()
		return inWorker(ctx, to)
	},
	"embedded": func(r *http.Request, to string) string { return inWorker(&embedded{Context: r.Context()}, to) },
	"second":   func(r *http.Request, to string) string { return inWorker(&second{Context: r.Context()}, to) },
	"byvalue":  func(r *http.Request, to string) string { return inWorker(byValue{name: "x", Context: r.Context()}, to) },
	"inner": func(r *http.Request, to string) string {
		return inWorker(&inner{second: second{Context: r.Context()}}, to)
	},
	"behind":  func(r *http.Request, to string) string { return inWorker(behind{&second{Context: r.Context()}}, to) },
	"field":   func(r *http.Request, to string) string { return inWorker(&field{parent: r.Context()}, to) },
	"ginlike": func(r *http.Request, to string) string { return inWorker(&ginlike{Request: r}, to) },
	// lend keeps its request under way until borrow has called with its context.
	"lend": func(r *http.Request, to string) string {
		lent <- r.Context()
		<-returned
		return "lent"
	},
	"borrow": func(r *http.Request, to string) string {
		defer func() { returned <- struct{}{} }()
		return get(<-lent, to)
	},
	"goroutine": func(r *http.Request, to string) string { return inGoroutine(func() string { return get(nil, to) }) },
	"fanout": func(r *http.Request, to string) string {
		ctx := context.WithValue(r.Context(), key{}, 1)
		return inGoroutine(func() string {
			return get(ctx, to) + inGoroutine(func() string { return get(ctx, to) })
		})
	},
}

type key struct{}

var lent, returned = make(chan context.Context), make(chan struct{})

type wrapper struct{ http.RoundTripper }

func (w wrapper) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Wrapped", "yes")
	return w.RoundTripper.RoundTrip(r)
}

func inGoroutine(f func() string) string {
	done := make(chan string)
	go func() { done <- f() }()
	return <-done
}

// get asks for a URL; without a context if ctx is nil.
func get(ctx context.Context, to string) string {
	if ctx == nil {
		return outcome(http.Get(to))
	}
	return do(newRequest(ctx, "GET", to, nil))
}

func newRequest(ctx context.Context, method, to string, body io.Reader) *http.Request {
	req, err := http.NewRequestWithContext(ctx, method, to, body)
	if err != nil {
		panic(err)
	}
	return req
}

func do(req *http.Request) string { return doWith(http.DefaultClient, req) }

func doWith(c *http.Client, req *http.Request) string { return outcome(c.Do(req)) }

func outcome(resp *http.Response, err error) string {
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := io.Copy(&body, resp.Body); err != nil {
		return err.Error()
	}
	return fmt.Sprint(resp.StatusCode, " ", body.String())
}
