// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// A request of an HTTP server on the kernel side: its event, its state, and what is known of the binary.
#pragma once

#include "panic.h"
#include "request.h"

#define USER_AGENT_MAX 256
#define ADDR_MAX 64
#define FORWARD_MAX 128
#define TARGET_MAX 1024
#define ROUTE_MAX 256
#define RESPONSE_BUFFER 160 // bytes of a response that hold the fields below

struct http_server_event {
	struct span_head head;
	__s64 body_size;
	__s32 status;
	__u8 tls, hijacked, header_written, unwound; // unwound: the handler did not return
	__u8 proto_major, proto_minor, pad[6];
	struct go_panic panic;
	struct span_text method, request_target, host, remote_addr, user_agent;
	struct span_text forwarded, forwarded_for, forwarded_proto, forwarded_host, trace_state, route;
	struct text_area text; // last: only what is used goes out
};
const struct http_server_event *unused __attribute__((unused)); // for bpf2go

// A connection's goroutine with the request that it serves. It stays in the map from one request to the next: an update and
// a deletion for each request would cost more than all the rest.
struct http_request {
	struct operation_slot slot;
	struct http_server_event event;
	struct http_request_work {
		struct go_string traceparent;
		__u64 traceparents; // how many: only one is valid
		struct trace_parent parent;
		__u64 response, request, route_ptr, route_len;
		__u64 state; // of a stream's response: address
		__u64 bias; // what the loader added to the binary's addresses
		struct map_walk walk; // of its header
	} work;
	__u8 group[MAP_GROUP_MAX]; // of the header, to be looked at, and at the end an HTTP/2 response's state: too large for the stack
};
_Static_assert(sizeof(struct http_request) <= OPERATION_SIZE, "a request has no room among the operations");

static __always_inline struct http_request *find_request(struct span_key *key)
{
	return (struct http_request *)find_operation(key);
}

static __always_inline struct http_request *request_at(__u32 place)
{
	return (struct http_request *)operation_at(place);
}

// The largest offsets that the programs can cope with, for user space to check.
enum http_limits {
	REQUEST_SIZE = REQUEST_BUFFER,
	RESPONSE_SIZE = RESPONSE_BUFFER,
	REQUEST_OFFSET_MAX = REQUEST_BUFFER - 16,
	RESPONSE_OFFSET_MAX = RESPONSE_BUFFER - 8,
	STATE_OFFSET_MAX = MAP_GROUP_MAX - 8,
};
const enum http_limits *unused_limits __attribute__((unused));

volatile const __s64 request_host, request_remote_addr, request_uri, request_tls;
volatile const __s64 request_proto_major, request_proto_minor, cancel_ctx_parent, request_pattern, request_pat, pattern_str;
volatile const __s64 writer_state, state_req, state_status, state_wrote_header, state_wrote_bytes; // of an HTTP/2 responseWriter
volatile const __s64 server_request_header;

// Does the route probe earn its trap? It does when the matched request is a copy that the end of the request cannot see.
__u64 routes_needed, routes_spare, routes_missed;
