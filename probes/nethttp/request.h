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

#define TRACEPARENT_NAME_LEN 11
#define TRACESTATE_NAME_LEN 10

// The lengths of the names below: most lines are passed by without reading theirs.
#define NAME_LENGTHS (1 << 9 | 1 << TRACESTATE_NAME_LEN | 1 << TRACEPARENT_NAME_LEN | 1 << 15 | 1 << 16 | 1 << NAME_LONGEST)

// kind_of_name is for a name of n bytes at w, as net/http spells it.
static __always_inline enum name_kind kind_of_name(__u64 n, const __u64 *w)
{
	if (n == TRACEPARENT_NAME_LEN && w[0] == WORD('T', 'r', 'a', 'c', 'e', 'p', 'a', 'r') && w[1] == WORD('e', 'n', 't', 0, 0, 0, 0, 0))
		return NAME_TRACEPARENT;
	if (n == TRACESTATE_NAME_LEN && w[0] == WORD('T', 'r', 'a', 'c', 'e', 's', 't', 'a') && w[1] == WORD('t', 'e', 0, 0, 0, 0, 0, 0))
		return NAME_TRACESTATE;
	if (n == 10 && w[0] == WORD('U', 's', 'e', 'r', '-', 'A', 'g', 'e') && w[1] == WORD('n', 't', 0, 0, 0, 0, 0, 0))
		return NAME_USER_AGENT;
	if (n == 9 && w[0] == WORD('F', 'o', 'r', 'w', 'a', 'r', 'd', 'e') && w[1] == WORD('d', 0, 0, 0, 0, 0, 0, 0))
		return NAME_FORWARDED;
	if (w[0] != WORD('X', '-', 'F', 'o', 'r', 'w', 'a', 'r'))
		return NAME_OTHER;
	if (n == 15 && w[1] == WORD('d', 'e', 'd', '-', 'F', 'o', 'r', 0))
		return NAME_FORWARDED_FOR;
	if (n == 17 && w[1] == WORD('d', 'e', 'd', '-', 'P', 'r', 'o', 't') && w[2] == WORD('o', 0, 0, 0, 0, 0, 0, 0))
		return NAME_FORWARDED_PROTO;
	if (n == 16 && w[1] == WORD('d', 'e', 'd', '-', 'H', 'o', 's', 't'))
		return NAME_FORWARDED_HOST;
	return NAME_OTHER;
}

// header_name returns what a header line's name is.
static __always_inline enum name_kind header_name(__u32 target, struct go_string name, __u64 bias)
{
	__u64 w[3] = {}, n = name.len, kind;

	barrier_var(n);
	if (n > NAME_LONGEST || !(1 << n & NAME_LENGTHS))
		return NAME_OTHER;
	kind = recall_name(target, HTTP_NAMES, name.ptr, n, bias);
	if (kind)
		return kind;
	if (bpf_probe_read_user(w, n, (void *)name.ptr))
		return NAME_UNREAD;
	kind = kind_of_name(n, w);
	remember_name(target, HTTP_NAMES, name.ptr, n, bias, kind);
	return kind;
}

// read_struct copies a struct of the target, size bytes of it but at most room. What lies behind a struct may be a page that is
// not there.
static __always_inline bool read_struct(void *to, __u64 size, const __u64 room, __u64 from)
{
	barrier_var(size);
	return size <= room && !bpf_probe_read_user(to, size, (void *)from);
}
