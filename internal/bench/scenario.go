package main

import (
	"fmt"
	"time"

	"github.com/remora-agent/remora/internal/rig"
)

// scenario is one kind of operation whose cost is measured.
type scenario struct {
	name     string
	programs []string // those that run once in every operation
	start    func(bin string, conns int) (*load, error)
}

// load is a running target and what makes it work.
type load struct {
	target *rig.Target
	run    func(d time.Duration) (operations int, took time.Duration, err error)
	close  func() error
}

func scenarios() []scenario {
	serve := func(run func(addr string, conns int, d time.Duration) (int, time.Duration, error)) func(string, int) (*load, error) {
		return func(bin string, conns int) (*load, error) {
			target, err := startTarget(bin)
			if err != nil {
				return nil, err
			}
			return &load{
				target: target,
				run:    func(d time.Duration) (int, time.Duration, error) { return run(target.Addr, conns, d) },
				close:  func() error { return nil },
			}, nil
		}
	}
	http1 := func(addr string, conns int, d time.Duration) (int, time.Duration, error) {
		return rig.Load(addr, "/", conns, d)
	}
	return []scenario{
		{"HTTP/1 server", []string{"serve_http", "serve_http_return"}, serve(http1)},
		{"HTTP/2 server", []string{"serve_http", "stream_done"}, serve(rig.LoadHTTP2)},
		{"HTTP/1 client", []string{"round_trip", "round_trip_return"}, startClient},
		{"SQL query", []string{"db_call", "db_return"}, startQueries},
	}
}

// startClient starts a target that asks a server of ours; that answers while run runs.
func startClient(bin string, conns int) (*load, error) {
	server, err := rig.NewResponder()
	if err != nil {
		return nil, err
	}
	target, err := startTarget(bin, "-call", "http://"+server.Addr, "-conns", fmt.Sprint(conns))
	if err != nil {
		return nil, err
	}
	return &load{target: target, run: server.Serve, close: server.Close}, nil
}

func startTarget(bin string, args ...string) (*rig.Target, error) {
	return rig.StartTarget(append([]string{"taskset", "-c", fmt.Sprint(targetCPU), bin}, args...), "GOMAXPROCS=1")
}
