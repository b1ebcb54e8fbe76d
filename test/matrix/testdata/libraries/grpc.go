package main

import (
	"context"
	"net"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
)

func init() { uses = append(uses, serveGRPC, requestGRPC) }

func serveGRPC() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpc.NumStreamWorkers(1))
	stream := func(_ any, s grpc.ServerStream) error { return s.SendMsg(new(emptypb.Empty)) }
	unary := func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		in := new(emptypb.Empty)
		return in, decode(in)
	}
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "libraries.Service",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Unary", Handler: unary}},
		Streams:     []grpc.StreamDesc{{StreamName: "Stream", Handler: stream, ServerStreams: true}},
	}, nil)
	if err := server.Serve(listener); err != nil {
		return err
	}
	return http.Serve(listener, server)
}

func requestGRPC() error {
	conn, err := grpc.Dial("127.0.0.1:0", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	if err := conn.Invoke(context.Background(), "/libraries.Service/Unary", new(emptypb.Empty), new(emptypb.Empty)); err != nil {
		return err
	}
	stream, err := conn.NewStream(context.Background(), &grpc.StreamDesc{ServerStreams: true}, "/libraries.Service/Stream")
	if err != nil {
		return err
	}
	return stream.RecvMsg(new(emptypb.Empty))
}
