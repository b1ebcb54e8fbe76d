package e2e

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/remora-agent/remora/internal/testenv"
)

// rpc is a call of the fixture testdata/grpc by the test, which nobody traces.
type rpc struct {
	method   string   // one of remora.test.Relay, or with a slash any other
	metadata []string // keys and values
	body     []byte
	code     codes.Code // with which it must end
	timeout  time.Duration
	leave    leave
	begun    func() // called when the server's header is here, or will never be
}

// full is the method as it is called.
func (r rpc) full() string {
	if r.method[0] == '/' {
		return r.method
	}
	return "/remora.test.Relay/" + r.method
}

// reply is what came back.
type reply struct {
	body    []byte
	trailer metadata.MD
}

// largestMessage is the longest message, in bytes, that the tests take; the fixture takes the same.
const largestMessage = 64 << 20

// dialGRPC connects to a listener of the fixture, whose name says whether it wants TLS.
func dialGRPC(t testing.TB, target *testenv.Target, listener, authority string) *grpc.ClientConn {
	t.Helper()
	conn, err := connectGRPC(target.Addr(listener), listener == "tls" || listener == "http-tls", authority)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func connectGRPC(addr string, secure bool, authority string) (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	if secure {
		creds = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(creds)}
	if authority != "" {
		options = append(options, grpc.WithAuthority(authority))
	}
	return grpc.NewClient("passthrough:///"+addr, options...)
}

// ready waits for the connection.
func ready(conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Patient(20*time.Second))
	defer cancel()
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if !conn.WaitForStateChange(ctx, state) {
			return fmt.Errorf("connect to %s: still %v", conn.Target(), state)
		}
	}
	return nil
}

// do makes the call and returns what came back; the error is nil when it ended as it must.
func (r rpc) do(conn *grpc.ClientConn) (reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Patient(cmp.Or(r.timeout, 60*time.Second)))
	defer cancel()
	switch r.leave {
	case resets:
		time.AfterFunc(testenv.Patient(200*time.Millisecond), cancel)
	case disconnects:
		time.AfterFunc(testenv.Patient(200*time.Millisecond), func() { conn.Close() })
	}
	var got reply
	ctx = metadata.AppendToOutgoingContext(ctx, r.metadata...)
	options := []grpc.CallOption{grpc.Trailer(&got.trailer), grpc.MaxCallRecvMsgSize(largestMessage), grpc.MaxCallSendMsgSize(largestMessage), grpc.WaitForReady(true)}
	var err error
	got.body, err = r.stream(ctx, conn, options)
	if code := status.Code(err); code != r.code {
		return got, fmt.Errorf("%s %q: ended with %v, want %v: %w", r.method, r.metadata, code, r.code, err)
	}
	return got, nil
}

// stream sends the body as one message, as calls of all four kinds can, and reads to the end. All that came is the answer.
func (r rpc) stream(ctx context.Context, conn *grpc.ClientConn, options []grpc.CallOption) ([]byte, error) {
	if r.begun != nil {
		defer r.begun()
	}
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, r.full(), options...)
	if err != nil {
		return nil, err
	}
	if err := s.SendMsg(wrapperspb.Bytes(r.body)); err != nil && !errors.Is(err, io.EOF) { // EOF: RecvMsg knows why
		return nil, err
	}
	if err := s.CloseSend(); err != nil {
		return nil, err
	}
	if r.begun != nil {
		s.Header() // what is wrong with it, RecvMsg knows too
		r.begun()
	}
	var whole []byte
	for {
		in := new(wrapperspb.BytesValue)
		if err := s.RecvMsg(in); errors.Is(err, io.EOF) {
			return bytes.TrimSuffix(whole, []byte("end")), nil // talk says so
		} else if err != nil {
			return whole, err
		}
		whole = append(whole, in.Value...)
	}
}

// check fails when the answer is not the request's body.
func (r rpc) check(got reply) error {
	if r.code == codes.OK && !bytes.Equal(got.body, r.body) {
		return fmt.Errorf("%s %q: sent %d bytes, got other %d", r.method, r.metadata, len(r.body), len(got.body))
	}
	return nil
}

// patterned returns n bytes that differ from their neighbours and do not come again soon.
func patterned(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8 + i>>16)
	}
	return b
}
