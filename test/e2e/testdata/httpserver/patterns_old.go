//go:build !go1.22

package main

import "net/http"

func addPatterns(*http.ServeMux) {}
