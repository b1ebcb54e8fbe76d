package rig

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// answer is what a Responder says to every request of HTTP/1.
const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"

// Responder is a server for clients whose speed is measured: one thread that does not sleep and looks at nothing but the end of a request.
type Responder struct {
	Addr   string
	answer func(data []byte) (used, requests int, answers []byte)
	listen net.Listener
	epoll  int
	accept int // descriptor of the listener
	fds    map[int][]byte
}

// NewResponder listens on a loopback port, for HTTP/1. It answers only while Serve runs.
func NewResponder() (*Responder, error) { return newResponder(answerHTTP1) }

func newResponder(answer func(data []byte) (used, requests int, answers []byte)) (*Responder, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	defer file.Close()
	r := &Responder{Addr: l.Addr().String(), answer: answer, listen: l, fds: map[int][]byte{}}
	if r.accept, err = unix.Dup(int(file.Fd())); err != nil {
		return nil, fmt.Errorf("duplicate the listener: %w", err)
	}
	if err := unix.SetNonblock(r.accept, true); err != nil {
		return nil, err
	}
	if r.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	return r, r.watch(r.accept)
}

func (r *Responder) watch(fd int) error {
	return unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// Close ends the connections.
func (r *Responder) Close() error {
	for fd := range r.fds {
		unix.Close(fd)
	}
	unix.Close(r.accept)
	unix.Close(r.epoll)
	return r.listen.Close()
}

// Serve answers requests for d; returns how many in what time.
func (r *Responder) Serve(d time.Duration) (requests int, took time.Duration, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	events := make([]unix.EpollEvent, 256)
	buf := make([]byte, 64<<10)
	start := time.Now()
	for end := start.Add(d); time.Now().Before(end); {
		n, err := unix.EpollWait(r.epoll, events, 0) // see Load
		if err != nil && !errors.Is(err, unix.EINTR) {
			return 0, 0, fmt.Errorf("wait for requests: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			answered, err := r.take(int(e.Fd), buf)
			if err != nil {
				return 0, 0, err
			}
			requests += answered
		}
	}
	return requests, time.Since(start), nil
}

// answerHTTP1 answers a request whose header has come to its end.
func answerHTTP1(data []byte) (used, requests int, answers []byte) {
	if !bytes.HasSuffix(data, []byte("\r\n\r\n")) {
		return 0, 0, nil
	}
	return len(data), 1, []byte(answer)
}

// take accepts a connection, or reads from one and answers what has come to its end.
func (r *Responder) take(fd int, buf []byte) (answered int, err error) {
	if fd == r.accept {
		conn, _, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return 0, nil // gone again
		}
		r.fds[conn] = nil
		return 0, r.watch(conn)
	}
	n, err := unix.Read(fd, buf)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return 0, nil
	}
	if err != nil || n == 0 {
		delete(r.fds, fd)
		return 0, unix.Close(fd)
	}
	data := append(r.fds[fd], buf[:n]...)
	used, requests, answers := r.answer(data)
	r.fds[fd] = append(data[:0], data[used:]...)
	if len(answers) == 0 {
		return 0, nil
	}
	if _, err := unix.Write(fd, answers); err != nil {
		return 0, fmt.Errorf("answer: %w", err)
	}
	return requests, nil
}
