//go:build cgo

package main

// int answer(void) { return 42; }
import "C"

func init() { sink = append(sink, int(C.answer())) }
