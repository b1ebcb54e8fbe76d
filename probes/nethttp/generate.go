// Package nethttp instruments the HTTP server and client of the standard library.
package nethttp

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -go-package nethttp -type http_server_event -type http_limits -type serve_site -type span_text server server.bpf.c -- -I../../bpf/include -I/usr/include/x86_64-linux-gnu -O2 -Wall -Werror -mcpu=v2
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -go-package nethttp -type http_client_event -type http_client_limits -type span_text client client.bpf.c -- -I../../bpf/include -I/usr/include/x86_64-linux-gnu -O2 -Wall -Werror -mcpu=v2
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -go-package nethttp http2client http2client.bpf.c -- -I../../bpf/include -I/usr/include/x86_64-linux-gnu -O2 -Wall -Werror -mcpu=v2
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -go-package nethttp http2server http2server.bpf.c -- -I../../bpf/include -I/usr/include/x86_64-linux-gnu -O2 -Wall -Werror -mcpu=v2
