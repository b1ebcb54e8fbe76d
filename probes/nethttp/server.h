// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// A request of net/http's server on the kernel side: its event, its state, and what is known of the binary.
#pragma once

#include "gomap.h"
#include "panic.h"
#include "point.h"
#include "text.h"
#include "trace.h"

#define METHOD_MAX 32
#define HOST_MAX 256
#define USER_AGENT_MAX 256
#define ADDR_MAX 64
#define FORWARD_MAX 128
#define TRACE_STATE_MAX 512
#define TRACE_STATE_LINES 4
#define TARGET_MAX 1024
#define ROUTE_MAX 256
#define REQUEST_BUFFER 224 // bytes of a Request that hold the fields below, and of a response
#define RESPONSE_BUFFER 160

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

enum http_state { HTTP_IDLE, HTTP_SAMPLED, HTTP_UNSAMPLED };

// A connection's goroutine with the request that it serves. It stays in the map from one request to the next: an update and
// a deletion for each request would cost more than all the rest.
struct http_request {
	enum http_state state; // first: user space looks at it
	struct go_string traceparent;
	__u64 traceparents; // how many: only one is valid
	struct trace_parent parent;
	__u64 response, request, route_ptr, route_len;
	struct map_walk walk; // of its header
	struct http_server_event event;
	__u8 group[MAP_GROUP_MAX]; // of the header, to be looked at: too large for the stack
};

// The largest offsets that the programs can cope with, for user space to check.
enum http_limits { REQUEST_OFFSET_MAX = REQUEST_BUFFER - 16, RESPONSE_OFFSET_MAX = RESPONSE_BUFFER - 8 };
const enum http_limits *unused_limits __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 10000); // set at load
	__type(key, struct span_key);
	__type(value, struct http_request);
} http_requests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct http_request);
} http_request_zero SEC(".maps");

volatile const struct points serve_http_points, serve_http_return_points, serve_unwind_points, mux_match_points;
volatile const struct addr_set response_itabs;
volatile const struct go_map_layout header_layout;
volatile const __s64 request_method, request_header, request_host, request_remote_addr, request_uri, request_tls;
volatile const __s64 request_proto_major, request_proto_minor, request_pattern, request_pat, pattern_str;
volatile const __s64 response_conn, response_status, response_wrote_header, response_written, conn_hijacked;
volatile const __s64 g_parent_goid;

__u64 connections; // in the map, set anew by user space when it removes some

// Does the route probe earn its trap? It does when the matched request is a copy that the end of the request cannot see.
__u64 routes_needed, routes_spare, routes_missed;
