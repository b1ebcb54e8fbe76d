//go:build tools

// Package examples names the programs of grpc-go's own that the tests build: go.mod has what they import.
package examples

import (
	_ "google.golang.org/grpc/examples/features/metadata/client"
	_ "google.golang.org/grpc/examples/features/metadata/server"
	_ "google.golang.org/grpc/examples/helloworld/greeter_client"
	_ "google.golang.org/grpc/examples/helloworld/greeter_server"
	_ "google.golang.org/grpc/examples/route_guide/client"
	_ "google.golang.org/grpc/examples/route_guide/server"
)
