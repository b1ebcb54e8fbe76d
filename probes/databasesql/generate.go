// Package databasesql instruments database/sql of the standard library, whatever driver is behind it.
package databasesql

//go:generate go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -go-package databasesql -type sql_event -type sql_limits -type sql_call -type span_text sql sql.bpf.c -- -I../../bpf/include -I/usr/include/x86_64-linux-gnu -O2 -Wall -Werror -mcpu=v2
