//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The client of google.golang.org/grpc: one event per call, and trace context in its requests.

#include "client.h"
#include "steering.h"
#include "write.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

volatile const struct points client_stream_points, stream_failed_points, finish_points, write_headers_points;
volatile const struct points steer_request_points;

// func (cs *clientStream) withRetry(op func(a *csAttempt) error, onSuccess func()) error, and before 1.43
// func (cs *clientStream) newAttemptLocked(…) error, where newClientStreamWithParams calls it: cs is new. 1: cs
SEC("uprobe/client_stream")
int client_stream(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &client_stream_points);

	if (p)
		begin_call(ctx, p);
	return 0;
}

// Where newClientStreamWithParams goes on when withRetry, or in a copy of it retryLocked, has returned an error. Results: 0–1: err
SEC("uprobe/stream_failed")
int stream_failed(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &stream_failed_points);

	if (p)
		fail_call(ctx, p);
	return 0;
}

// func (l *loopyWriter) writeHeader(streamID uint32, endStream bool, hf []hpack.HeaderField, onWrite func()) error
// where (*loopyWriter).originateStream, from 1.85 clientHeaderHandler, has called it: a request's frames are written.
SEC("uprobe/write_headers")
int write_headers(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &write_headers_points);

	if (p)
		inject(ctx, p);
	return 0;
}

// func (l *loopyWriter) writeHeader(streamID uint32, endStream bool, hf []hpack.HeaderField, onWrite func()) error
// where the fields are encoded. It writes requests, and a server's responses.
SEC("uprobe/steer_request")
int steer_request(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &steer_request_points);

	if (p)
		end_fields(ctx, p);
	return 0;
}

// Where that goes on if a field cannot be encoded.
SEC("uprobe/steer_request_failed")
int steer_request_failed(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &steer_request_failed_points);

	if (p)
		continue_fields(ctx, p);
	return 0;
}

// func (cs *clientStream) finish(err error)
// 1: cs, 2–3: err. Only the first call counts: https://github.com/grpc/grpc-go/blob/v1.80.0/stream.go
// Or, behind its sites, where copies of it call func (a *csAttempt) finish(err error). 1: a, 2–3: err
SEC("uprobe/finish")
int finish(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &finish_points);

	if (p)
		end_call(ctx, p->site ? read_u64(GO_ARG1(ctx) + attempt_stream) : GO_ARG1(ctx));
	return 0;
}
