// Command plain is a program without any library that Remora traces. It is never run.
package main

import "os"

func inlined(n int) int { return n + 41 }

func main() { os.Exit(inlined(len(os.Args))) }
