package main

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
)

// serveGRPC answers unary calls with an empty message.
func serveGRPC(l net.Listener) error {
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench.Service",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Do", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(emptypb.Empty)
			return in, decode(in)
		}}},
	}, nil)
	return s.Serve(l)
}

// perConnection is how many goroutines share a connection.
const perConnection = 8

// callGRPC makes unary calls from n goroutines. It does not return but with an error.
func callGRPC(addr string, n int) error {
	var conn *grpc.ClientConn
	for i := range n {
		if i%perConnection == 0 {
			var err error
			if conn, err = grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
				return err
			}
		}
		go repeat(conn)
	}
	select {}
}

func repeat(conn *grpc.ClientConn) {
	in, out := new(emptypb.Empty), new(emptypb.Empty)
	for {
		if err := conn.Invoke(context.Background(), "/bench.Service/Do", in, out); err != nil {
			time.Sleep(time.Millisecond) // the server has left
		}
	}
}
