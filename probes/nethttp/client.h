// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// A call of net/http's client on the kernel side: its event, its state, and what is known of the binary.
#pragma once

#include "context.h"
#include "inject.h"
#include "request.h"

#define SCHEME_MAX 16
#define PATH_MAX 1024
#define QUERY_MAX 1024
#define FRAGMENT_MAX 128
#define URL_MAX 1024 // of a URL that is copied in one piece
#define URL_BUFFER 144 // bytes of a URL that hold the fields below
#define ANSWER_BUFFER 56 // bytes of a Response, likewise
#define MAX_RESENDS 16

struct http_client_event {
	struct span_head head;
	__u64 error_type; // link-time address of its descriptor; 0: no error
	__s32 status;
	__u8 proto_major, proto_minor, failed;
	__u8 resends; // redirects that led here
	__u8 user_info, force_query, opaque, escaped; // opaque, escaped: that is what path holds
	__u8 pad[4];
	struct span_text method, scheme, url_host, path, query, fragment, trace_state;
	struct text_area text; // last: only what is used goes out
};
const struct http_client_event *unused __attribute__((unused)); // for bpf2go

struct http_call {
	struct operation_slot slot;
	struct http_client_event event;
	struct http_call_work {
		// What the call has begun with:
		__u64 request;
		__u64 bias; // what the loader added to the binary's addresses
		__u64 depth; // of the stack where it was called, bytes; 0: not known
		__u64 sp; // the stack pointer there
		// What was read since:
		__u64 header; // under which the call is in calls_by_header; 0: nothing is to be written into its request
		__u64 writer; // goroutine that has written trace context into its HTTP/2 stream
		__u64 served; // the operation that the call is a part of, its ref_to; 0: none that is known
		struct go_iface context; // the request's
		__u64 url;
		struct go_string method;
		struct go_string traceparent, tracestate; // of the header that was walked last: first of what the request carries already
		struct trace_parent parent;
		struct map_walk walk; // of its header
	} work;
	__u8 group[MAP_GROUP_MAX]; // of the header, to be looked at: too large for the stack
};
_Static_assert(sizeof(struct http_call) <= OPERATION_SIZE, "a call has no room among the operations");

// The largest offsets that the programs can cope with, for user space to check.
enum http_client_limits {
	CLIENT_REQUEST_OFFSET_MAX = REQUEST_BUFFER - 16,
	CLIENT_URL_OFFSET_MAX = URL_BUFFER - 16,
	CLIENT_ANSWER_OFFSET_MAX = ANSWER_BUFFER - 8,
	CLIENT_URL_BYTE_OFFSET_MAX = URL_BUFFER - 1,
	CLIENT_REQUEST_SIZE = REQUEST_BUFFER,
	CLIENT_URL_SIZE = URL_BUFFER,
};
const enum http_client_limits *unused_limits __attribute__((unused));

volatile const __s64 request_url, request_response, response_request, response_status, response_proto_major, response_proto_minor;
volatile const __s64 url_size, url_scheme, url_opaque, url_user, url_host, url_path, url_raw_path, url_raw_query, url_fragment, url_force_query;
volatile const __s64 bufio_err, bufio_buf, bufio_n;

static __always_inline struct http_call *find_call(struct span_key *key)
{
	return (struct http_call *)find_operation(key);
}

static __always_inline struct http_call *call_at(__u32 place)
{
	return (struct http_call *)operation_at(place);
}
