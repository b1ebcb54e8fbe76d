// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// What servers and clients read of a net/http.Request.
#pragma once

#include "gomap.h"
#include "operation.h"
#include "point.h"
#include "text.h"
#include "trace.h"
#include "tracestate.h"

#define METHOD_MAX 32
#define HOST_MAX 256
#define REQUEST_BUFFER 272 // bytes of a Request that hold the fields below, if it is as large

volatile const struct go_map_layout header_layout;
volatile const __s64 request_size, request_method, request_header, request_ctx;

// Header names as the words that they are compared by.
#define WORD(a, b, c, d, e, f, g, h) \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 | (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)

// The traceparent header, n bytes at w: as net/http spells it.
#define TRACEPARENT_NAME_LEN 11
#define IS_TRACEPARENT(n, w) \
	((n) == TRACEPARENT_NAME_LEN && (w)[0] == WORD('T', 'r', 'a', 'c', 'e', 'p', 'a', 'r') && (w)[1] == WORD('e', 'n', 't', 0, 0, 0, 0, 0))

#define TRACESTATE_NAME_LEN 10
#define IS_TRACESTATE(n, w) \
	((n) == TRACESTATE_NAME_LEN && (w)[0] == WORD('T', 'r', 'a', 'c', 'e', 's', 't', 'a') && (w)[1] == WORD('t', 'e', 0, 0, 0, 0, 0, 0))

// read_struct copies a struct of the target, size bytes of it but at most room. What lies behind a struct may be a page that is
// not there.
static __always_inline bool read_struct(void *to, __u64 size, const __u64 room, __u64 from)
{
	barrier_var(size);
	return size <= room && !bpf_probe_read_user(to, size, (void *)from);
}
