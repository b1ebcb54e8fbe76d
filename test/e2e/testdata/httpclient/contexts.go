package main

import (
	"context"
	"net/http"
	"time"
)

// Contexts of a program's own, each with its parent at another place.
type (
	embedded struct {
		context.Context
		name string
	}
	second struct {
		name string
		n    int
		context.Context
	}
	byValue struct {
		name string
		context.Context
	}
	inner struct {
		n int
		second
	}
	behind struct{ *second }
	field  struct {
		name   string
		parent context.Context
	}
	ginlike struct {
		writer  int
		Request *http.Request
	}
)

func (f *field) Deadline() (time.Time, bool)       { return f.parent.Deadline() }
func (f *field) Done() <-chan struct{}             { return f.parent.Done() }
func (f *field) Err() error                        { return f.parent.Err() }
func (f *field) Value(key interface{}) interface{} { return f.parent.Value(key) }

func (g *ginlike) Deadline() (time.Time, bool)       { return g.Request.Context().Deadline() }
func (g *ginlike) Done() <-chan struct{}             { return g.Request.Context().Done() }
func (g *ginlike) Err() error                        { return g.Request.Context().Err() }
func (g *ginlike) Value(key interface{}) interface{} { return g.Request.Context().Value(key) }
