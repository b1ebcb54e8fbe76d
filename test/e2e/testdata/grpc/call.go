package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A hop is one call of a route: METHOD+WAY+…@TARGET, where METHOD is one of the service or, with a slash, any other.
type hop struct {
	method, target string
	ways           map[string]bool
}

func parseHop(s string) hop {
	at := strings.SplitN(s, "@", 2)
	words := strings.Split(at[0], "+")
	h := hop{method: words[0], target: at[1], ways: map[string]bool{}}
	if !strings.HasPrefix(h.method, "/") {
		h.method = "/remora.test.Relay/" + h.method
	}
	for _, w := range words[1:] {
		h.ways[w] = true
	}
	return h
}

// follow makes the first call of a route, and asks whom it calls for the rest.
func follow(ctx context.Context, md metadata.MD, body []byte) ([]byte, metadata.MD, error) {
	route := strings.SplitN(get(md, "route"), " ", 2)
	out := metadata.MD{}
	for _, key := range []string{"do", "code", "message", "x-long"} {
		if v := md.Get(key); v != nil {
			out[key] = v
		}
	}
	if len(route) > 1 {
		out["route"] = route[1:]
	}
	h := parseHop(route[0])
	if h.ways["carries"] {
		// Made when it is needed, as an SDK does.
		out["traceparent"] = []string{strings.Join([]string{"00", "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "01"}, "-")}
	}
	ctx = metadata.NewOutgoingContext(ctx, out)
	switch {
	case h.ways["background"]:
		return h.call(metadata.NewOutgoingContext(context.Background(), out), body)
	case h.ways["goroutine"]:
		return h.callInGoroutine(ctx, body)
	case h.ways["value"]:
		return h.call(context.WithValue(ctx, hop{}.method, "more"), body)
	}
	return h.call(ctx, body)
}

func (h hop) callInGoroutine(ctx context.Context, body []byte) (answer []byte, trailer metadata.MD, err error) {
	done := make(chan struct{})
	go func() { defer close(done); answer, trailer, err = h.call(ctx, body) }()
	<-done
	return answer, trailer, err
}

// call makes the call. A call that the client gives up on is one without error: it returns what it gave up with as its answer.
func (h hop) call(ctx context.Context, body []byte) (answer []byte, trailer metadata.MD, err error) {
	conn, err := h.connection()
	if err != nil {
		return nil, nil, err
	}
	if h.ways["alone"] {
		defer conn.Close()
	}
	ctx, cancel := h.limit(ctx)
	defer cancel()
	var got metadata.MD
	options := []grpc.CallOption{grpc.MaxCallRecvMsgSize(largest), grpc.MaxCallSendMsgSize(largest), grpc.Trailer(&got), grpc.WaitForReady(h.ways["ready"])}
	switch h.method {
	case "/remora.test.Relay/Upload":
		answer, err = h.stream(ctx, conn, &grpc.StreamDesc{ClientStreams: true}, inThree(body), options)
	case "/remora.test.Relay/Download":
		answer, err = h.stream(ctx, conn, &grpc.StreamDesc{ServerStreams: true}, [][]byte{body}, options)
	case "/remora.test.Relay/Talk":
		answer, err = h.talk(ctx, conn, body, options)
	default:
		out := new(wrapperspb.BytesValue)
		err = conn.Invoke(ctx, h.method, wrapperspb.Bytes(body), out, options...)
		answer = out.Value
	}
	if err != nil && h.ways["survives"] {
		return []byte(status.Code(err).String()), metadata.MD{}, nil
	}
	return answer, got, err
}

// limit gives up on a call soon, if that is its way.
func (h hop) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	switch {
	case h.ways["deadline"]:
		return context.WithTimeout(ctx, 100*time.Millisecond)
	case h.ways["cancel"]:
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(50*time.Millisecond, cancel)
		return ctx, cancel
	case h.ways["late"]:
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return ctx, cancel
	}
	return context.WithCancel(ctx)
}

// stream sends messages and reads to the end; it returns all that came.
func (h hop) stream(ctx context.Context, conn *grpc.ClientConn, desc *grpc.StreamDesc, messages [][]byte, options []grpc.CallOption) ([]byte, error) {
	s, err := conn.NewStream(ctx, desc, h.method, options...)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		if err := s.SendMsg(wrapperspb.Bytes(m)); err != nil && !errors.Is(err, io.EOF) { // EOF: RecvMsg knows why
			return nil, err
		}
	}
	if err := s.CloseSend(); err != nil {
		return nil, err
	}
	return receive(s)
}

func receive(s grpc.ClientStream) ([]byte, error) {
	var whole []byte
	for {
		in := new(wrapperspb.BytesValue)
		if err := s.RecvMsg(in); errors.Is(err, io.EOF) {
			return whole, nil
		} else if err != nil {
			return nil, err
		}
		whole = append(whole, in.Value...)
	}
}

// talk sends a message and reads its answer, three times. With the way "leaves" it goes after the first and never reads to the end.
func (h hop) talk(ctx context.Context, conn *grpc.ClientConn, body []byte, options []grpc.CallOption) ([]byte, error) {
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, h.method, options...)
	if err != nil {
		return nil, err
	}
	var whole []byte
	for _, part := range inThree(body) {
		if err := s.SendMsg(wrapperspb.Bytes(part)); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		in := new(wrapperspb.BytesValue)
		if err := s.RecvMsg(in); err != nil {
			return nil, err
		}
		whole = append(whole, in.Value...)
		if h.ways["leaves"] {
			return body, nil
		}
	}
	if err := s.CloseSend(); err != nil {
		return nil, err
	}
	end, err := receive(s)
	if err == nil && string(end) != "end" {
		return nil, fmt.Errorf("talk ended with %q", end)
	}
	return whole, err
}

// connections are shared by all calls to a target in the same way.
var connections = struct {
	sync.Mutex
	open map[string]*grpc.ClientConn
}{open: map[string]*grpc.ClientConn{}}

func (h hop) connection() (*grpc.ClientConn, error) {
	secure := grpc.WithTransportCredentials(insecure.NewCredentials())
	if h.ways["tls"] {
		secure = grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}))
	}
	options := []grpc.DialOption{secure, grpc.WithUserAgent("relay")}
	if h.ways["unbuffered"] {
		options = append(options, grpc.WithWriteBufferSize(0))
	}
	if h.ways["alone"] {
		return grpc.Dial(h.target, options...)
	}
	connections.Lock()
	defer connections.Unlock()
	key := fmt.Sprint(h.target, h.ways["tls"], h.ways["unbuffered"])
	if conn := connections.open[key]; conn != nil {
		return conn, nil
	}
	conn, err := grpc.Dial(h.target, options...)
	connections.open[key] = conn
	return conn, err
}

// callFromHTTP makes the call that the query's route asks for.
func callFromHTTP(w http.ResponseWriter, r *http.Request) {
	md := metadata.MD{"route": r.URL.Query()["route"]}
	answer, _, err := follow(r.Context(), md, []byte("from HTTP"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Write(answer)
}
