package rig

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Frames of HTTP/2: https://www.rfc-editor.org/rfc/rfc9113#section-6
const (
	frameHeader   = 9
	frameData     = 0
	frameHeaders  = 1
	frameReset    = 3
	frameSettings = 4
	framePing     = 6
	frameGoAway   = 7
	frameWindow   = 8

	flagAck       = 1 // of SETTINGS and PING
	flagEndStream = 1 // of HEADERS and DATA
	flagsHeaders  = 4 // END_HEADERS
	flagsRequest  = 5 // END_STREAM, END_HEADERS

	preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
)

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	f := make([]byte, frameHeader, frameHeader+len(payload))
	f[0], f[1], f[2] = byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload))
	f[3], f[4] = kind, flags
	binary.BigEndian.PutUint32(f[5:], stream)
	return append(f, payload...)
}

// wideOpen is a WINDOW_UPDATE for a connection, enough for all that comes.
func wideOpen() []byte { return frame(frameWindow, 0, 0, []byte{0x7f, 0xff, 0, 0}) }

// LoadHTTP2 is Load for HTTP/2 without TLS, by prior knowledge: depth streams at a time on each connection, all for "/".
func LoadHTTP2(addr string, conns int, d time.Duration) (requests int, took time.Duration, err error) {
	block := []byte{0x82, 0x86, 0x84, 0x01, byte(len(addr))} // GET, http, /, :authority: https://www.rfc-editor.org/rfc/rfc7541#appendix-A
	block = append(block, addr...)
	block = append(block, 0x0f, 58-15, 3, 'r', 'i', 'g') // user-agent
	return loadHTTP2(addr, conns, d, func(stream uint32) []byte { return frame(frameHeaders, flagsRequest, stream, block) })
}

// loadHTTP2 sends requests, as request makes them for a stream.
func loadHTTP2(addr string, conns int, d time.Duration, request func(stream uint32) []byte) (requests int, took time.Duration, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return 0, 0, fmt.Errorf("create epoll: %w", err)
	}
	defer unix.Close(epoll)
	all := map[int32]*http2Conn{}
	defer func() {
		for _, c := range all {
			unix.Close(c.fd)
		}
	}()
	for range conns {
		c, err := dialHTTP2(addr, request)
		if err != nil {
			return 0, 0, err
		}
		all[int32(c.fd)] = c
		if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, c.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(c.fd)}); err != nil {
			return 0, 0, err
		}
	}
	events := make([]unix.EpollEvent, conns)
	buf := make([]byte, 64<<10)
	start := time.Now()
	answered := start
	for end := start.Add(d); time.Now().Before(end); {
		n, err := unix.EpollWait(epoll, events, 0) // see Load
		if err != nil && !errors.Is(err, unix.EINTR) {
			return 0, 0, fmt.Errorf("wait for answers: %w", err)
		}
		if n > 0 {
			answered = time.Now()
		} else if time.Since(answered) > time.Second {
			return 0, 0, errors.New("no answer for a second")
		}
		for _, e := range events[:max(n, 0)] {
			got, err := all[e.Fd].take(buf)
			if err != nil {
				return 0, 0, err
			}
			requests += got
		}
	}
	return requests, time.Since(start), nil
}

// http2Conn is a connection with depth streams under way.
type http2Conn struct {
	fd       int
	request  func(stream uint32) []byte
	stream   uint32 // the next one
	messages int    // frames of DATA that are not yet a part of an answer
	rest     []byte // of a frame that is not whole yet
	out      []byte // to be sent
}

func dialHTTP2(addr string, request func(stream uint32) []byte) (*http2Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close() // the duplicate stays
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	fd, err := unix.Dup(int(file.Fd()))
	if err != nil {
		return nil, fmt.Errorf("duplicate a connection: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	c := &http2Conn{fd: fd, request: request, stream: 1}
	c.out = append(c.out, preface...)
	c.out = append(c.out, frame(frameSettings, 0, 0, nil)...)
	c.out = append(c.out, wideOpen()...)
	c.ask(depth)
	return c, c.send()
}

// ask adds requests to what is to be sent.
func (c *http2Conn) ask(n int) {
	for range n {
		c.out = append(c.out, c.request(c.stream)...)
		c.stream += 2
	}
}

func (c *http2Conn) send() error {
	n, err := unix.Write(c.fd, c.out)
	if err != nil || n != len(c.out) {
		return fmt.Errorf("send requests: %d bytes written: %w", n, err)
	}
	c.out = c.out[:0]
	return nil
}

// take reads what came, and asks again for each answer.
func (c *http2Conn) take(buf []byte) (answered int, err error) {
	n, err := unix.Read(c.fd, buf)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read an answer: %w", err)
	}
	if n == 0 {
		return 0, errors.New("server closed a connection")
	}
	data := append(c.rest, buf[:n]...)
	for len(data) >= frameHeader {
		length := int(data[0])<<16 | int(data[1])<<8 | int(data[2])
		if len(data) < frameHeader+length {
			break
		}
		kind, flags, payload := data[3], data[4], data[frameHeader:frameHeader+length]
		if kind == frameData {
			c.messages++
		}
		switch {
		case kind == frameGoAway || kind == frameReset:
			return 0, fmt.Errorf("server sent a frame of type %d: % x", kind, payload)
		case kind == frameSettings && flags&flagAck == 0:
			c.out = append(c.out, frame(frameSettings, flagAck, 0, nil)...)
		case kind == framePing && flags&flagAck == 0:
			c.out = append(c.out, frame(framePing, flagAck, 0, payload)...)
		case kind <= frameHeaders && flags&flagEndStream != 0: // DATA or HEADERS
			answered++
			if c.messages == 0 {
				return 0, errors.New("an answer has no message")
			}
			c.messages--
		}
		data = data[frameHeader+length:]
	}
	c.rest = append(c.rest[:0], data...)
	c.ask(answered)
	if len(c.out) == 0 {
		return answered, nil
	}
	return answered, c.send()
}
