//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The client of golang.org/x/net/http2: one event per round trip that did not come by way of net/http's Transport, and trace
// context in all requests.

#include "http2steer.h"
#include "roundtrip.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

volatile const struct points http2_round_trip_points, http2_round_trip_return_points, http2_stream_points, http2_write_frame_points;
volatile const struct points http2_steer_fields_points, http2_steer_fields_return_points;

// func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error)
SEC("uprobe/http2_round_trip")
int http2_round_trip(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &http2_round_trip_points);

	if (p)
		begin_call(ctx, p);
	return 0;
}

// Where it returns.
SEC("uprobe/http2_round_trip_return")
int http2_round_trip_return(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &http2_round_trip_return_points);

	if (p)
		end_call(ctx, p);
	carry_out(ctx, p);
	return 0;
}

// func (cs *clientStream) doRequest(req *http.Request, …)
SEC("uprobe/http2_stream")
int http2_stream(struct pt_regs *ctx)
{
	if (find_point(ctx, &http2_stream_points))
		begin_stream(ctx);
	return 0;
}

// func (b *bufio.Writer) Flush() error, where (*ClientConn).writeHeaders calls it.
SEC("uprobe/http2_write_frame")
int http2_write_frame(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &http2_write_frame_points);

	if (p)
		inject_frame(ctx, p);
	return 0;
}

// func (cs *clientStream) encodeAndWriteHeaders(req *http.Request) error
SEC("uprobe/http2_steer_fields")
int http2_steer_fields(struct pt_regs *ctx)
{
	if (find_point(ctx, &http2_steer_fields_points))
		note_stream(ctx);
	return 0;
}

// Where its call that encodes the fields has come back.
SEC("uprobe/http2_steer_fields_return")
int http2_steer_fields_return(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &http2_steer_fields_return_points);

	if (p)
		continue_fields(ctx, p);
	return 0;
}
