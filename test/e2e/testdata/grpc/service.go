package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The methods, one of each kind. Their messages are google.protobuf.BytesValue, so that nothing is generated.
var (
	upload   = grpc.StreamDesc{StreamName: "Upload", ClientStreams: true, Handler: func(r any, s grpc.ServerStream) error { return r.(*relay).upload(s) }}
	download = grpc.StreamDesc{StreamName: "Download", ServerStreams: true, Handler: func(r any, s grpc.ServerStream) error { return r.(*relay).download(s) }}
	talk     = grpc.StreamDesc{StreamName: "Talk", ClientStreams: true, ServerStreams: true, Handler: func(r any, s grpc.ServerStream) error { return r.(*relay).talk(s) }}
	service  = grpc.ServiceDesc{
		ServiceName: "remora.test.Relay",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Unary", Handler: unary}},
		Streams:     []grpc.StreamDesc{upload, download, talk},
	}
)

// relay carries out what the metadata of a call asks for:
//
//	route    the calls to make first, one by the other (see parseHop)
//	do       what then to do: panic, wait, overdue, sleep, error or end (the server's)
//	code     the number of the status to end with, and
//	message  its message
//	x-long   comes back as a trailer, as does
//	seen     the traceparents with which the calls of the route arrived
type relay struct {
	end chan<- struct{} // asks for the server's end
}

func unary(r any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
	in := new(wrapperspb.BytesValue)
	if err := decode(in); err != nil {
		return nil, err
	}
	handler := func(ctx context.Context, in any) (any, error) {
		answer, trailer, err := r.(*relay).act(ctx, in.(*wrapperspb.BytesValue))
		grpc.SetTrailer(ctx, trailer)
		return answer, err
	}
	return interceptor(ctx, in, &grpc.UnaryServerInfo{Server: r, FullMethod: "/remora.test.Relay/Unary"}, handler)
}

// upload answers all messages with one: what they are together.
func (r *relay) upload(s grpc.ServerStream) error {
	whole := new(wrapperspb.BytesValue)
	for {
		in := new(wrapperspb.BytesValue)
		if err := s.RecvMsg(in); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		whole.Value = append(whole.Value, in.Value...)
	}
	answer, trailer, err := r.act(s.Context(), whole)
	s.SetTrailer(trailer)
	if err != nil {
		return err
	}
	return s.SendMsg(answer)
}

// download answers a message in three parts.
func (r *relay) download(s grpc.ServerStream) error {
	in := new(wrapperspb.BytesValue)
	if err := s.RecvMsg(in); err != nil {
		return err
	}
	answer, trailer, err := r.act(s.Context(), in)
	s.SetTrailer(trailer)
	if err != nil {
		return err
	}
	for _, part := range inThree(answer.Value) {
		if err := s.SendMsg(wrapperspb.Bytes(part)); err != nil {
			return err
		}
	}
	return nil
}

// talk answers each message as it comes. Only after the last, or after the first when it does something else than to answer, it does that.
func (r *relay) talk(s grpc.ServerStream) error {
	first := true
	for {
		in := new(wrapperspb.BytesValue)
		err := s.RecvMsg(in)
		if errors.Is(err, io.EOF) && first {
			return nil
		} else if errors.Is(err, io.EOF) {
			return s.SendMsg(wrapperspb.Bytes([]byte("end")))
		} else if err != nil {
			return err
		}
		if first {
			first = false
			answer, trailer, err := r.act(s.Context(), in)
			s.SetTrailer(trailer)
			if err != nil {
				return err
			}
			in = answer
		}
		if err := s.SendMsg(in); err != nil {
			return err
		}
	}
}

// act makes the calls of the route and then does what the metadata asks for. It returns the answer and its trailer.
func (r *relay) act(ctx context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, metadata.MD, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	trailer := metadata.MD{}
	if md.Get("route") != nil {
		answer, got, err := follow(ctx, md, in.Value)
		trailer = got
		if err != nil {
			return nil, seen(trailer, md), err
		}
		in = wrapperspb.Bytes(answer)
	} else {
		trailer["x-long"] = md["x-long"]
		if err := r.do(ctx, get(md, "do")); err != nil {
			return nil, seen(trailer, md), err
		}
	}
	return in, seen(trailer, md), statusOf(md)
}

// seen returns a trailer with the traceparents of a call before those of the calls that it made.
func seen(trailer, md metadata.MD) metadata.MD {
	all := metadata.MD{"x-long": trailer["x-long"]}
	all["seen"] = append([]string{fmt.Sprint(md["traceparent"])}, trailer["seen"]...)
	return all
}

func get(md metadata.MD, key string) string {
	if v := md.Get(key); len(v) > 0 {
		return v[0]
	}
	return ""
}

func (r *relay) do(ctx context.Context, what string) error {
	switch what {
	case "panic":
		panic("boom")
	case "wait":
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	case "overdue":
		<-ctx.Done() // which may be the client's cancellation: it has the same deadline, and knows it first
		return status.Error(codes.DeadlineExceeded, context.DeadlineExceeded.Error())
	case "sleep":
		if err := grpc.SendHeader(ctx, nil); err != nil { // the caller knows that the call has begun
			return err
		}
		time.Sleep(50 * time.Millisecond)
	case "error":
		return errors.New("no status")
	case "end":
		r.end <- struct{}{}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// statusOf is the status that the metadata of the last call of a route asks for.
func statusOf(md metadata.MD) error {
	code, err := strconv.ParseUint(get(md, "code"), 10, 32)
	if err != nil || md.Get("route") != nil {
		return nil
	}
	return status.Error(codes.Code(code), get(md, "message"))
}

func inThree(b []byte) [][]byte {
	third := (len(b) + 2) / 3
	var parts [][]byte
	for range [3]int{} {
		n := third
		if n > len(b) {
			n = len(b)
		}
		parts, b = append(parts, b[:n]), b[n:]
	}
	return parts
}

func recoverUnary(ctx context.Context, in any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (answer any, err error) {
	defer recovered(&err)
	return next(ctx, in)
}

func recoverStream(r any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer recovered(&err)
	return next(r, s)
}

func recovered(err *error) {
	if v := recover(); v != nil {
		*err = status.Errorf(codes.Internal, "recovered: %v", v)
	}
}
