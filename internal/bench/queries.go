package main

import (
	"fmt"
	"net/http"
	"time"
)

// startQueries starts a target that asks a database in its own process while run runs.
func startQueries(bin string, _ int) (*load, error) {
	target, err := startTarget(bin)
	if err != nil {
		return nil, err
	}
	run := func(d time.Duration) (n int, took time.Duration, err error) {
		resp, err := http.Get(fmt.Sprintf("http://%s/queries?for=%v", target.Addr, d))
		if err != nil {
			return 0, 0, err
		}
		defer resp.Body.Close()
		if _, err := fmt.Fscan(resp.Body, &n, &took); err != nil {
			return 0, 0, fmt.Errorf("read how many queries the target made (%s): %w", resp.Status, err)
		}
		return n, took, nil
	}
	return &load{target: target, run: run, close: func() error { return nil }}, nil
}
