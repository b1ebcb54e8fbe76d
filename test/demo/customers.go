package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// action is what a customer does in one go: requests that follow each other, in one trace that the browser began.
type action []request

type request struct{ method, path, body string }

func get(path string) request { return request{method: http.MethodGet, path: path} }

// actions are a customer's way through the shop.
func actions(customer int) []action {
	return []action{
		{get("/"), get("/products")},
		{get("/products"), get(fmt.Sprintf("/products/%d", 1+customer)), get(fmt.Sprintf("/products/%d", 6+customer))}, // there is no ninth
		{get("/search?q=er&sort=price"), get("/products/2")},
		{get("/products/3"), {http.MethodPost, "/checkout", `{"Product":3,"Quantity":1}`}},
		{get(fmt.Sprintf("/recommendations/user%d", customer))},
	}
}

// drive lets customers walk through the shop until the visit is over, and returns how many requests they sent.
func drive(url string) int {
	var sent atomic.Int64
	var group sync.WaitGroup
	end := time.Now().Add(visit)
	for customer := range customers {
		group.Add(1)
		go func() {
			defer group.Done()
			time.Sleep(time.Duration(customer) * 150 * time.Millisecond)
			way := actions(customer)
			for step := customer; time.Now().Before(end); step++ {
				sent.Add(int64(way[step%len(way)].run(url)))
				time.Sleep(450 * time.Millisecond)
			}
		}()
	}
	group.Wait()
	return int(sent.Load())
}

// run sends the requests and returns how many they were.
func (a action) run(url string) int {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}} // never sends a request again
	parent := fmt.Sprintf("00-%016x%016x-%016x-01", rand.Uint64(), rand.Uint64(), rand.Uint64()|1)
	for _, r := range a {
		req, err := http.NewRequest(r.method, url+r.path, strings.NewReader(r.body))
		if err != nil {
			panic(err) // a constant is wrong
		}
		req.Header.Set("Traceparent", parent)
		resp, err := client.Do(req)
		if err != nil {
			continue // the bug in the recommendations
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	return len(a)
}
