// Grpcold is for versions of gRPC before 1.34, which lack what testdata/grpc uses: a server that makes a call to itself, for each call, of a service
// that does not exist.
package main

import (
	"context"
	"fmt"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	pb "google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	conn, err := grpc.Dial(l.Addr().String(), grpc.WithInsecure())
	if err != nil {
		log.Fatal(err)
	}
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "remora.test.Old",
		HandlerType: (*interface{})(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Call",
			Handler: func(_ interface{}, ctx context.Context, decode func(interface{}) error, _ grpc.UnaryServerInterceptor) (interface{}, error) {
				in := new(pb.HealthCheckRequest)
				if err := decode(in); err != nil {
					return nil, err
				}
				return pb.NewHealthClient(conn).Check(ctx, &pb.HealthCheckRequest{Service: "nothing"})
			},
		}},
	}, struct{}{})
	pb.RegisterHealthServer(s, health.NewServer())
	fmt.Println("listening plain", l.Addr())
	fmt.Println("ready")
	log.Fatal(s.Serve(l))
}
