// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// A request of net/http's server on the kernel side: its event, its state, and what is known of the binary.
#pragma once

#include "gomap.h"
#include "point.h"
#include "text.h"
#include "trace.h"

#define METHOD_MAX 32
#define HOST_MAX 256
#define USER_AGENT_MAX 256
#define ADDR_MAX 64
#define FORWARD_MAX 128
#define TRACE_STATE_MAX 512
#define TARGET_MAX 1024
#define ROUTE_MAX 256
#define PANIC_MAX 256
#define BUFFER_SIZE MAP_GROUP_MAX
#define IDLE_MAX 4096 // connections without a request that stay in the map

// How a request ended.
enum http_end { HTTP_RETURNED, HTTP_PANICKED, HTTP_EXITED };

struct http_server_event {
	struct span_head head;
	__s64 body_size;
	__u64 panic_type; // link-time address of the type descriptor of the panic's value, 0: nil
	__s32 status;
	enum http_end ended;
	__u8 tls, hijacked, header_written, proto_major, proto_minor, pad[3];
	struct span_text method, request_target, host, remote_addr, user_agent;
	struct span_text forwarded, forwarded_for, forwarded_proto, forwarded_host, trace_state, route, panic_text;
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
	__u8 buffer[BUFFER_SIZE]; // what was read of the target, to be looked at
	struct http_server_event event;
};

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
volatile const __u64 request_size, response_size; // in bytes
volatile const __s64 request_method, request_header, request_host, request_remote_addr, request_uri, request_tls;
volatile const __s64 request_proto_major, request_proto_minor, request_pattern, request_pat, pattern_str;
volatile const __s64 response_conn, response_status, response_wrote_header, response_written, conn_hijacked;
volatile const __s64 g_parent_goid, g_panic, panic_arg, panic_goexit;
volatile const struct addr_set text_types; // of panic values that are a string or point to what begins with one

__u64 connections; // in the map, set anew by user space when it removes some

// Does the route probe earn its trap? It does when the matched request is a copy that the end of the request cannot see.
__u64 routes_needed, routes_spare, routes_missed;
