package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
)

type customError struct{ Code int }

func (e *customError) Error() string { return fmt.Sprint("custom ", e.Code) }

type customString string

type customValue struct {
	Name string
	N    int
}

// panics has a value of each kind that programs panic with.
var panics = map[string]func() interface{}{
	"string":       func() interface{} { return "something is wrong" },
	"empty":        func() interface{} { return "" },
	"error":        func() interface{} { return errors.New("an error value") },
	"wrapped":      func() interface{} { return fmt.Errorf("reading: %w", io.ErrUnexpectedEOF) },
	"custom":       func() interface{} { return &customError{7} },
	"customstring": func() interface{} { return customString("typed text") },
	"customvalue":  func() interface{} { return customValue{"first field", 1} },
	"int":          func() interface{} { return 42 },
	"abort":        func() interface{} { return http.ErrAbortHandler },
}

// touchPanicText makes the kernel map the text of the panic of a nil pointer, which lies in the program's file: a probe cannot read
// what no one has touched, and whether its neighbours have is chance.
func touchPanicText() {
	defer func() { fmt.Fprintln(io.Discard, recover()) }()
	var none *http.Request
	fmt.Fprintln(io.Discard, none.Method)
}
