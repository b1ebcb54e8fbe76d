// Libraries uses everything that Remora instruments, so that one executable holds all functions and types that the probes
// declare. It is built, and never run. A library is added as a file of its own, whose init adds to uses. go.mod has versions of
// the modules that Go 1.18 can build, new.mod has new ones; a library that needs a newer Go gets a build constraint.
package main

import "fmt"

// uses are called by main, so that the linker keeps what they call.
var uses []func() error

func main() {
	for _, use := range uses {
		if err := use(); err != nil {
			fmt.Println(err)
		}
	}
}
