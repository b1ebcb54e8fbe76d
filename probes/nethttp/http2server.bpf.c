//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The server of golang.org/x/net/http2: one event per request.

#include "serve.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

volatile const struct points http2_run_handler_points, http2_handler_done_points;

// func (sc *serverConn) runHandler(rw *responseWriter, req *http.Request, handler func(http.ResponseWriter, *http.Request))
// 1: sc, 2: rw, 3: req
SEC("uprobe/http2_run_handler")
int http2_run_handler(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &http2_run_handler_points);
	struct span_key key = server_key(ctx);

	if (p)
		begin_request(ctx, &key, GO_ARG3(ctx), GO_ARG2(ctx), false, load_bias(ctx, p));
	return 0;
}

// Its deferred function.
SEC("uprobe/http2_handler_done")
int http2_handler_done(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &http2_handler_done_points);

	if (p)
		end_stream(ctx, p);
	return 0;
}
