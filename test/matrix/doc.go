// Package matrix holds tests of everything that the probes declare against programs built by all supported versions of Go, in
// all the forms that linkers give them. The debug information and the symbol table of an unstripped twin say what is right. It
// ranges over probes/all: a new probe is covered as soon as testdata/libraries uses its library.
package matrix
