//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The server of google.golang.org/grpc: one event per call.

#include "server.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

volatile const struct points handle_stream_points, write_status_points, handler_write_status_points, connection_lost_points;

// func (s *Server) handleStream(t transport.ServerTransport, stream *transport.Stream, …)
// func (s *Server) handleStream(t transport.ServerTransport, stream *transport.ServerStream), 1.69+
// 1: s, 2–3: t, 4: stream
SEC("uprobe/handle_stream")
int handle_stream(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &handle_stream_points);
	struct span_key key = server_key(ctx);

	if (p && key.goroutine)
		begin_stream(ctx, &key, GO_ARG1(ctx), GO_ARG2(ctx), GO_ARG4(ctx), load_bias(ctx, p));
	else if (p)
		count_loss(LOSS_READ);
	return 0;
}

// func (t *http2Server) WriteStatus(s *Stream, st *status.Status) error
// func (t *http2Server) writeStatus(s *ServerStream, st *status.Status) error, 1.69+
SEC("uprobe/write_status")
int write_status(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &write_status_points);

	if (p)
		end_stream(ctx, p);
	return 0;
}

// The same of serverHandlerTransport, which serves by a net/http server.
SEC("uprobe/handler_write_status")
int handler_write_status(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &handler_write_status_points);

	if (p)
		end_stream(ctx, p);
	return 0;
}

// func FromError(err error) (s *Status, ok bool), where (*Server).processUnaryRPC calls it: never on the way of a call that
// succeeds. 1–2: err
SEC("uprobe/connection_lost")
int connection_lost(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &connection_lost_points);

	if (p)
		lose_stream(ctx, p);
	return 0;
}
