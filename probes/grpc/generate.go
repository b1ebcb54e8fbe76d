// Package grpc instruments the server and the client of google.golang.org/grpc.
package grpc

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -go-package grpc -type grpc_event -type grpc_limits -type span_text server server.bpf.c -- -I../../bpf/include -I/usr/include/x86_64-linux-gnu -O2 -Wall -Werror -mcpu=v2
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -go-package grpc client client.bpf.c -- -I../../bpf/include -I/usr/include/x86_64-linux-gnu -O2 -Wall -Werror -mcpu=v2
