package rig

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// depth is how many requests are under way on a connection. One at a time costs the loader as much as the server, two system
// calls and their network path, and could not saturate it.
const depth = 16

// Load asks for path over keep-alive connections, with pipelining, for d, and returns how many answers came and in what time.
// One thread serves all connections with epoll and looks at nothing but the length of an answer, so that it saturates a server
// on another CPU: all answers must have the same length.
func Load(addr, path string, conns int, d time.Duration) (requests int, took time.Duration, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	request := []byte(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: rig\r\n\r\n", path, addr))
	l := loader{request: request, requests: bytes.Repeat(request, depth)}
	l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return 0, 0, fmt.Errorf("create epoll: %w", err)
	}
	defer l.close()
	for range conns {
		if err := l.connect(addr); err != nil {
			return 0, 0, err
		}
	}
	start := time.Now()
	err = l.run(start.Add(d))
	return l.answered, time.Since(start), err
}

type loader struct {
	epoll    int
	request  []byte
	requests []byte      // depth of them
	length   int         // of every answer
	fds      []int       // of the connections
	missing  map[int]int // fd → bytes of the answers under way that are not there yet
	answered int
}

func (l *loader) close() {
	for _, fd := range l.fds {
		unix.Close(fd)
	}
	unix.Close(l.epoll)
}

// connect opens a connection; a first request, not counted, shows how long answers are.
func (l *loader) connect(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close() // the duplicate stays
	length, err := firstAnswer(conn, l.request)
	if err != nil {
		return err
	}
	if l.length != 0 && l.length != length {
		return fmt.Errorf("answers of %d and %d bytes", l.length, length)
	}
	l.length = length
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		return err
	}
	defer file.Close()
	fd, err := unix.Dup(int(file.Fd()))
	if err != nil {
		return fmt.Errorf("duplicate a connection: %w", err)
	}
	l.fds = append(l.fds, fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func firstAnswer(conn net.Conn, request []byte) (length int, err error) {
	if _, err := conn.Write(request); err != nil {
		return 0, err
	}
	data := make([]byte, 64<<10)
	for n := 0; n < len(data); {
		more, err := conn.Read(data[n:])
		if err != nil {
			return 0, fmt.Errorf("read the first answer: %w", err)
		}
		n += more
		whole, err := complete(data[:n])
		if whole || err != nil {
			return n, err
		}
	}
	return 0, errors.New("the first answer is longer than 64 KiB")
}

// complete says whether data is one whole answer with status 200 and a Content-Length.
func complete(data []byte) (bool, error) {
	head := bytes.Index(data, []byte("\r\n\r\n"))
	if head < 0 {
		return false, nil
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(data)), nil)
	if err != nil {
		return false, err
	}
	if resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("server answers %s", resp.Status)
	}
	return int64(len(data)) == int64(head+4)+resp.ContentLength, nil
}

func (l *loader) run(end time.Time) error {
	l.missing = make(map[int]int, len(l.fds))
	for _, fd := range l.fds {
		if err := l.ask(fd); err != nil {
			return err
		}
	}
	events := make([]unix.EpollEvent, len(l.fds))
	buf := make([]byte, 64<<10)
	answered := time.Now()
	for time.Now().Before(end) {
		// Without waiting: a CPU that falls asleep costs, in a virtual machine, more than all that is measured, and a busy agent
		// beside the load would then make the server look faster.
		n, err := unix.EpollWait(l.epoll, events, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for answers: %w", err)
		}
		if n > 0 {
			answered = time.Now()
		} else if time.Since(answered) > time.Second {
			return errors.New("no answer for a second")
		}
		for _, e := range events[:n] {
			if err := l.take(int(e.Fd), buf); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *loader) ask(fd int) error {
	n, err := unix.Write(fd, l.requests)
	if err != nil || n != len(l.requests) {
		return fmt.Errorf("send requests: %d bytes written: %w", n, err)
	}
	l.missing[fd] = depth * l.length
	return nil
}

// take reads what came on a connection, and asks again when all answers are there.
func (l *loader) take(fd int, buf []byte) error {
	n, err := unix.Read(fd, buf)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read an answer: %w", err)
	}
	if n == 0 {
		return errors.New("server closed a connection")
	}
	l.missing[fd] -= n
	switch {
	case l.missing[fd] < 0:
		return errors.New("an answer is longer than the first one")
	case l.missing[fd] > 0:
		return nil
	}
	l.answered += depth
	return l.ask(fd)
}
