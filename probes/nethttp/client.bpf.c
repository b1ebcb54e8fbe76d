//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The client of net/http: one event per round trip of its Transport, and trace context in its requests.

#include "http1steer.h"
#include "http1write.h"
#include "http2steer.h"
#include "roundtrip.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

volatile const struct points round_trip_points, round_trip_return_points, write_header_points, stream_points, write_frame_points;
volatile const struct points steer_fields_points, steer_fields_return_points;
volatile const struct points steer_header_points, steer_end_points;

// func (t *Transport) roundTrip(req *Request) (*Response, error)
SEC("uprobe/round_trip")
int round_trip(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &round_trip_points);

	if (p)
		begin_call(ctx, p);
	return 0;
}

// Where it returns.
SEC("uprobe/round_trip_return")
int round_trip_return(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &round_trip_return_points);

	if (p)
		end_call(ctx, p);
	carry_out(ctx, p);
	return 0;
}

// func (h Header) writeSubset(w io.Writer, exclude map[string]bool, trace *httptrace.ClientTrace) error
// 1: h, 2–3: w. Where (*Request).write calls it for the request's own header: a header line may be written before it.
SEC("uprobe/write_header")
int write_header(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &write_header_points);
	struct header_key k = { .target = target_id(ctx), .header = GO_ARG1(ctx) };

	if (!p)
		return 0;
	struct header_owner *owner = find_owner(&k);
	if (!owner)
		return 0;
	if (!owner->call) {
		count_loss(LOSS_INJECT_SHARED);
		return 0;
	}
	struct http_call *c = (struct http_call *)find_ref(owner->call);
	if (!c || c->work.header != k.header)
		return 0;
	if (!in_set(&bufio_writer_itabs, GO_ARG2(ctx) - load_bias(ctx, p))) {
		count_loss(LOSS_INJECT_WRITER);
		return 0;
	}
	write_to_bufio(c, GO_ARG3(ctx));
	return 0;
}

// Header.writeSubset as above.
SEC("uprobe/steer_header")
int steer_header(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &steer_header_points);

	if (p)
		note_header(ctx, p);
	return 0;
}

// func WriteString(w Writer, s string) (n int, err error), where (*Request).write ends the header by it.
SEC("uprobe/steer_end")
int steer_end(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &steer_end_points);

	if (p)
		begin_lines(ctx, p);
	return 0;
}

// Where that call comes back.
SEC("uprobe/steer_end_return")
int steer_end_return(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &steer_end_return_points);

	if (p)
		continue_lines(ctx, p);
	return 0;
}

// func (cs *http2clientStream) doRequest(req *Request, …), and that of net/http/internal/http2
SEC("uprobe/stream")
int stream(struct pt_regs *ctx)
{
	if (find_point(ctx, &stream_points))
		begin_stream(ctx);
	return 0;
}

// func (b *bufio.Writer) Flush() error, where (*http2ClientConn).writeHeaders calls it.
SEC("uprobe/write_frame")
int write_frame(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &write_frame_points);

	if (p)
		inject_frame(ctx, p);
	return 0;
}

// func (cs *http2clientStream) encodeAndWriteHeaders(req *http.Request) error
SEC("uprobe/steer_fields")
int steer_fields(struct pt_regs *ctx)
{
	if (find_point(ctx, &steer_fields_points))
		note_stream(ctx);
	return 0;
}

// Where its call that encodes the fields has come back.
SEC("uprobe/steer_fields_return")
int steer_fields_return(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &steer_fields_return_points);

	if (p)
		continue_fields(ctx, p);
	return 0;
}
