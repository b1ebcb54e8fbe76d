package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/remora-agent/remora/internal/rig"
)

// scenario is one kind of operation whose cost is measured.
type scenario struct {
	name     string
	programs []string // those that run once in every operation: at its beginning, at its end
	injects  []string // those that do so as well where the kernel lets them write to the target
	start    func(bin string, conns int) (*load, error)

	endsElsewhere bool          // in another goroutine than where it begins
	slice         time.Duration // of one short measurement; 0: the flag's
}

// load is a running target and what makes it work.
type load struct {
	target *rig.Target
	run    func(d time.Duration) (operations int, took time.Duration, err error)
	close  func() error
}

func scenarios() []scenario {
	serve := func(run func(addr string, conns int, d time.Duration) (int, time.Duration, error), args ...string) func(string, int) (*load, error) {
		return func(bin string, conns int) (*load, error) {
			target, err := startTarget(bin, args...)
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
	unary := func(addr string, conns int, d time.Duration) (int, time.Duration, error) {
		return rig.LoadGRPC(addr, "/bench.Service/Do", conns, d)
	}
	return []scenario{
		{name: "HTTP/1 server", programs: []string{"serve_http", "serve_http_return"}, start: serve(http1)},
		{name: "HTTP/2 server", programs: []string{"serve_http", "stream_done"}, start: serve(rig.LoadHTTP2), endsElsewhere: true},
		{name: "HTTP/1 client", programs: []string{"round_trip", "round_trip_return"}, start: call(rig.NewResponder, "-call", "http://")},
		{name: "gRPC server", programs: []string{"handle_stream", "write_status"}, start: serve(unary, "-grpc")},
		{name: "gRPC client", programs: []string{"client_stream", "finish"}, injects: []string{"write_headers"}, start: call(rig.NewGRPCResponder, "-grpc", "-call", "")},
		{name: "SQL query", programs: []string{"db_call", "db_return"}, start: startQueries, slice: 40 * time.Millisecond}, // or the ring buffer would be full
	}
}

// call returns what starts a target that asks a server of ours; that answers while run runs. Its address follows the last argument.
func call(newServer func() (*rig.Responder, error), args ...string) func(string, int) (*load, error) {
	return func(bin string, conns int) (*load, error) {
		server, err := newServer()
		if err != nil {
			return nil, err
		}
		with := slices.Clone(args)
		with[len(with)-1] += server.Addr
		target, err := startTarget(bin, append(with, "-conns", fmt.Sprint(conns))...)
		if err != nil {
			return nil, err
		}
		return &load{target: target, run: server.Serve, close: server.Close}, nil
	}
}

func startTarget(bin string, args ...string) (*rig.Target, error) {
	return rig.StartTarget(append([]string{"taskset", "-c", fmt.Sprint(targetCPU), bin}, args...), "GOMAXPROCS=1")
}
