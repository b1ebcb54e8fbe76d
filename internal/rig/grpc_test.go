package rig

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
)

func TestLoadGRPCCounts(t *testing.T) {
	var served atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "rig.Service",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Do", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			served.Add(1)
			in := new(emptypb.Empty)
			return in, decode(in)
		}}},
	}, nil)
	go s.Serve(l)
	defer s.Stop()
	n, took, err := LoadGRPC(l.Addr().String(), "/rig.Service/Do", 3, 50*time.Millisecond)
	if err != nil || took < 50*time.Millisecond || n == 0 {
		t.Errorf("%d in %v, error %v", n, took, err)
	}
	if got := served.Load(); got < int64(n) || got > int64(n)+3*depth {
		t.Errorf("counted %d, served %d", n, got)
	}
	if _, _, err := LoadGRPC(l.Addr().String(), "/rig.Service/Nothing", 1, 50*time.Millisecond); err == nil {
		t.Error("no error for a method that does not exist")
	}
}

func TestGRPCResponderCounts(t *testing.T) {
	r, err := NewGRPCResponder()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	conn, err := grpc.NewClient("passthrough:///"+r.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var asked atomic.Int64
	var clients sync.WaitGroup
	for range 3 {
		clients.Go(func() {
			for conn.Invoke(context.Background(), "/rig.Service/Do", new(emptypb.Empty), new(emptypb.Empty)) == nil {
				asked.Add(1)
			}
		})
	}
	n, _, err := r.Serve(200 * time.Millisecond)
	if err != nil || n == 0 {
		t.Errorf("%d calls, error %v", n, err)
	}
	r.Close()
	conn.Close()
	clients.Wait()
	if got := asked.Load(); got > int64(n) || got < int64(n)-3 {
		t.Errorf("answered %d, clients got %d", n, got)
	}
}
