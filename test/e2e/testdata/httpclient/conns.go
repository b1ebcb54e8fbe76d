package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"
)

// Ways to call over a connection of the program's own, whose first Write is none. As long as the URL is, that is in the middle of the header.
func init() {
	ways["writeends"] = overOwn(func(c *ownConn, _ []byte) (int, error) {
		c.Conn.Close() // or the Transport would wait for ever
		runtime.Goexit()
		return 0, nil
	})
	ways["writefails"] = overOwn(func(c *ownConn, p []byte) (int, error) { return 10, errors.New("the device is on fire") })
	ways["writepanics"] = overOwn(func(c *ownConn, p []byte) (int, error) { panic("the device is on fire") })
	ways["writenests"] = overOwn(func(c *ownConn, p []byte) (int, error) {
		for _, r := range []*http.Request{c.call, newRequest(c.call.Context(), "GET", "http://another.one/", nil)} {
			if err := r.Write(io.Discard); err != nil {
				return 0, err
			}
		}
		return c.Conn.Write(p)
	})
	ways["writegrows"] = overOwn(func(c *ownConn, p []byte) (int, error) {
		grow(1000)
		runtime.GC()
		return c.Conn.Write(p)
	})
	ways["manycarry"] = func(r *http.Request, to string) string {
		return inParallel(8, func(int) string { return ways["carries"](r, to) })
	}
}

// grow needs n times 100 bytes of stack, and more.
func grow(n int) byte {
	var frame [100]byte
	if n > 0 {
		frame[n%len(frame)] = grow(n - 1)
	}
	return frame[0]
}

// ownConn is a connection that a call is made over.
type ownConn struct {
	net.Conn
	call  *http.Request
	first func(c *ownConn, p []byte) (int, error)
	once  sync.Once
}

func (c *ownConn) Write(p []byte) (n int, err error) {
	write := c.Conn.Write
	c.once.Do(func() { write = func(p []byte) (int, error) { return c.first(c, p) } })
	return write(p)
}

func overOwn(first func(c *ownConn, p []byte) (int, error)) func(r *http.Request, to string) string {
	return func(r *http.Request, to string) string {
		ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
		defer cancel()
		req := newRequest(ctx, "GET", to, nil)
		dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, fmt.Errorf("own connection: %w", err)
			}
			return &ownConn{Conn: conn, call: req, first: first}, nil
		}
		t := &http.Transport{DialContext: dial}
		defer t.CloseIdleConnections()
		return doWith(&http.Client{Transport: t}, req)
	}
}
