// Grpcotel is a program that its authors instrumented: a server and a client of gRPC with otelgrpc. Each call of its server makes one to the
// address in the metadata `to`, and answers with the traceparents that arrived there.
package main

import (
	"context"
	"fmt"
	"log"
	"net"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func main() {
	otel.SetTracerProvider(trace.NewTracerProvider())
	otel.SetTextMapPropagator(propagation.TraceContext{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening plain", l.Addr())
	s := grpc.NewServer(grpc.StatsHandler(otelgrpc.NewServerHandler()))
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "remora.test.Instrumented",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Call", Handler: handle}},
	}, nil)
	fmt.Println("ready")
	log.Fatal(s.Serve(l))
}

func handle(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	in := new(wrapperspb.BytesValue)
	if err := decode(in); err != nil {
		return nil, err
	}
	md, _ := metadata.FromIncomingContext(ctx)
	seen, err := call(ctx, md.Get("to")[0], in)
	grpc.SetTrailer(ctx, metadata.MD{"seen": seen})
	return in, err
}

// call makes a call and returns the traceparents that the other side saw.
func call(ctx context.Context, to string, in *wrapperspb.BytesValue) ([]string, error) {
	conn, err := grpc.NewClient("passthrough:///"+to, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithStatsHandler(otelgrpc.NewClientHandler()))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var trailer metadata.MD
	err = conn.Invoke(ctx, "/remora.test.Relay/Unary", in, new(wrapperspb.BytesValue), grpc.Trailer(&trailer))
	return trailer["seen"], err
}
