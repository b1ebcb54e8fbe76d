package main

// -I/usr/include/x86_64-linux-gnu: where Debian has asm/types.h, also when it compiles for arm64.
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 floor floor.bpf.c -- -I../../bpf/include -I/usr/include/x86_64-linux-gnu -O2 -Wall -Werror -mcpu=v2
//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -type cost costs costs.bpf.c -- -I../../bpf/include -I/usr/include/x86_64-linux-gnu -O2 -Wall -Werror -mcpu=v2
