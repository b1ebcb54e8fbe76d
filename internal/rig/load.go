package rig

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Load asks for path over keep-alive connections, one request at a time on each, for d, and returns how many answers came and in
// what time. It does next to nothing per request, so that it saturates the server: answers must all have the same length.
func Load(addr, path string, conns int, d time.Duration) (requests int, took time.Duration, err error) {
	request := []byte(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: rig\r\n\r\n", path, addr))
	var clients []*client
	for i := 0; i < conns; i++ {
		c, err := dial(addr, request)
		if err != nil {
			return 0, 0, err
		}
		defer c.conn.Close()
		clients = append(clients, c)
	}
	start := time.Now()
	end := start.Add(d)
	results := make(chan error, conns)
	for _, c := range clients {
		go func() { results <- c.run(end) }()
	}
	var failed error
	for range clients {
		failed = errors.Join(failed, <-results)
	}
	took = time.Since(start)
	for _, c := range clients {
		requests += c.answered
	}
	return requests, took, failed
}

type client struct {
	conn     net.Conn
	request  []byte
	answer   []byte // as long as every answer
	answered int
}

// dial opens a connection and learns from a first request how long answers are.
func dial(addr string, request []byte) (*client, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, request: request}
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	first := make([]byte, 64<<10)
	n := 0
	for {
		more, err := conn.Read(first[n:])
		if err != nil {
			return nil, fmt.Errorf("read the first answer: %w", err)
		}
		n += more
		if complete(first[:n]) {
			c.answer = first[:n]
			return c, nil
		}
	}
}

// complete says whether data is one whole answer with a Content-Length.
func complete(data []byte) bool {
	head := bytes.Index(data, []byte("\r\n\r\n"))
	if head < 0 {
		return false
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(data)), nil)
	return err == nil && int64(len(data)) == int64(head+4)+resp.ContentLength
}

func (c *client) run(end time.Time) error {
	for time.Now().Before(end) {
		for i := 0; i < 16; i++ { // looks at the clock seldom
			if _, err := c.conn.Write(c.request); err != nil {
				return err
			}
			if _, err := io.ReadFull(c.conn, c.answer); err != nil {
				return fmt.Errorf("read answer: %w", err)
			}
			if !bytes.HasPrefix(c.answer, []byte("HTTP/1.1 200 ")) {
				return fmt.Errorf("not an answer: %.40q", c.answer)
			}
			c.answered++
		}
	}
	return nil
}
