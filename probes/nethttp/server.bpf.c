//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The server of net/http, HTTP/1.0 and 1.1: one event per request.

#include "gomap.h"
#include "point.h"
#include "text.h"
#include "trace.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

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
	enum http_state state;
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
volatile const __s64 g_panic, panic_arg;
volatile const struct addr_set text_types; // of panic values that are a string or point to what begins with one

__u64 connections; // in the map

// Does the route probe earn its trap? It does when the matched request is a copy that the end of the request cannot see.
__u64 routes_needed, routes_spare, routes_missed;

// Header names as the words that they are compared by.
#define WORD(a, b, c, d, e, f, g, h) \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 | (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)

static __always_inline struct go_string first_value(struct go_slice values)
{
	struct go_string none = {};
	return values.len ? read_string_header(values.ptr) : none;
}

// keep_header keeps what a span needs of one header line.
static __always_inline void keep_header(struct http_request *r, struct go_string name, struct go_slice values)
{
	__u64 w[3] = {};
	struct text_area *t = &r->event.text;
	__u64 n = name.len;

	barrier_var(n);
	if (n < 9 || n > 17 || bpf_probe_read_user(w, n, (void *)name.ptr))
		return;
	if (n == 11 && w[0] == WORD('T', 'r', 'a', 'c', 'e', 'p', 'a', 'r') && w[1] == WORD('e', 'n', 't', 0, 0, 0, 0, 0)) {
		r->traceparent = first_value(values);
		r->traceparents = values.len;
	} else if (n == 10 && w[0] == WORD('T', 'r', 'a', 'c', 'e', 's', 't', 'a') && w[1] == WORD('t', 'e', 0, 0, 0, 0, 0, 0)) {
		struct span_text all = append(t, first_value(values), TRACE_STATE_MAX);
		for (int i = 1; i < 4 && i < values.len; i++) { // several lines are one list
			struct span_text more = append(t, read_string_header(values.ptr + i * sizeof(struct go_string)), TRACE_STATE_MAX);
			if (more.len)
				all.len = more.off + more.len - all.off;
		}
		r->event.trace_state = all;
	} else if (n == 10 && w[0] == WORD('U', 's', 'e', 'r', '-', 'A', 'g', 'e') && w[1] == WORD('n', 't', 0, 0, 0, 0, 0, 0)) {
		r->event.user_agent = append(t, first_value(values), USER_AGENT_MAX);
	} else if (n == 9 && w[0] == WORD('F', 'o', 'r', 'w', 'a', 'r', 'd', 'e') && w[1] == WORD('d', 0, 0, 0, 0, 0, 0, 0)) {
		r->event.forwarded = append(t, first_value(values), FORWARD_MAX);
	} else if (w[0] == WORD('X', '-', 'F', 'o', 'r', 'w', 'a', 'r')) {
		if (n == 15 && w[1] == WORD('d', 'e', 'd', '-', 'F', 'o', 'r', 0))
			r->event.forwarded_for = append(t, first_value(values), FORWARD_MAX);
		else if (n == 17 && w[1] == WORD('d', 'e', 'd', '-', 'P', 'r', 'o', 't') && w[2] == WORD('o', 0, 0, 0, 0, 0, 0, 0))
			r->event.forwarded_proto = append(t, first_value(values), FORWARD_MAX);
		else if (n == 16 && w[1] == WORD('d', 'e', 'd', '-', 'H', 'o', 's', 't'))
			r->event.forwarded_host = append(t, first_value(values), FORWARD_MAX);
	}
}

// scan_group looks through the eight slots of the next group of the header map; 0 when it was the last. A global function: the
// verifier checks it once, not once for each group.
__noinline int scan_group(__u64 target, __u64 goroutine)
{
	struct span_key key = { .target = target, .goroutine = goroutine };
	struct http_request *r = bpf_map_lookup_elem(&http_requests, &key);
	__u32 size = header_layout.group_size;

	if (!r || walk_done(&r->walk))
		return 0;
	__u64 group = next_group(&r->walk, &header_layout);
	if (!group || size > MAP_GROUP_MAX || bpf_probe_read_user(r->buffer, size, (void *)group))
		return !walk_done(&r->walk);
	for (int i = 0; i < MAP_SLOTS; i++) {
		__u32 k = header_layout.keys + i * header_layout.key_stride;
		__u32 v = header_layout.elems + i * header_layout.elem_stride;
		__u32 c = header_layout.control + i;
		if (c >= MAP_GROUP_MAX || k > MAP_GROUP_MAX - sizeof(struct go_string) || v > MAP_GROUP_MAX - sizeof(struct go_slice))
			return 0;
		if (!slot_filled(r->buffer[c], &header_layout))
			continue;
		struct go_string name;
		struct go_slice values;
		__builtin_memcpy(&name, r->buffer + k, sizeof(name));
		__builtin_memcpy(&values, r->buffer + v, sizeof(values));
		keep_header(r, name, values);
	}
	return !walk_done(&r->walk);
}

static __always_inline void read_headers(const struct span_key *key, struct http_request *r, __u64 header)
{
	start_walk(&r->walk, header, &header_layout);
	for (int i = 0; i < MAP_MAX_GROUPS; i++) {
		if (!scan_group(key->target, key->goroutine))
			return;
	}
	count_loss(LOSS_HEADERS);
}

// enter returns the goroutine's entry, cleared for a new request, or NULL if the map is full.
static __always_inline struct http_request *enter(struct span_key *key)
{
	struct http_request *r = bpf_map_lookup_elem(&http_requests, key);
	__u32 zero = 0;

	if (r) {
		__builtin_memset(r, 0, __builtin_offsetof(struct http_request, buffer));
		__builtin_memset(&r->event, 0, __builtin_offsetof(struct http_server_event, text.data));
		return r;
	}
	r = bpf_map_lookup_elem(&http_request_zero, &zero);
	if (!r)
		return NULL;
	if (bpf_map_update_elem(&http_requests, key, r, BPF_ANY)) {
		count_loss(LOSS_MAP_FULL);
		return NULL;
	}
	__sync_fetch_and_add(&connections, 1);
	return bpf_map_lookup_elem(&http_requests, key);
}

static __always_inline void leave(struct span_key *key)
{
	if (!bpf_map_delete_elem(&http_requests, key))
		__sync_fetch_and_add(&connections, -1);
}

#define REQUEST_WORD(field) (*(__u64 *)(r->buffer + request_##field))
#define REQUEST_STRING(field) (*(struct go_string *)(r->buffer + request_##field))

// read_request keeps what a handler may change: it is read before one runs. The header comes last, its walk needs the buffer.
static __always_inline bool read_request(struct span_key *key, struct http_request *r)
{
	struct text_area *t = &r->event.text;
	__u64 size = request_size;

	if (size > BUFFER_SIZE)
		size = BUFFER_SIZE;
	if (bpf_probe_read_user(r->buffer, size, (void *)r->request))
		return false;
	__u64 header = REQUEST_WORD(header);
	r->event.tls = REQUEST_WORD(tls) != 0;
	r->event.proto_major = REQUEST_WORD(proto_major);
	r->event.proto_minor = REQUEST_WORD(proto_minor);
	r->event.method = append(t, REQUEST_STRING(method), METHOD_MAX);
	r->event.host = append(t, REQUEST_STRING(host), HOST_MAX);
	r->event.remote_addr = append(t, REQUEST_STRING(remote_addr), ADDR_MAX);
	struct go_string target = REQUEST_STRING(uri);
	read_headers(key, r, header);
	r->event.request_target = append(t, target, TARGET_MAX); // the longest last: the others always have room
	return true;
}

// func (sh serverHandler) ServeHTTP(rw ResponseWriter, req *Request)
// 1: sh.srv, 2–3: rw, 4: req
SEC("uprobe/serve_http")
int serve_http(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &serve_http_points);
	struct span_key key = { .target = target_id(ctx), .goroutine = goroutine_id(ctx) };

	if (!p)
		return 0;
	if (!in_set(&response_itabs, GO_ARG2(ctx) - load_bias(ctx, p))) {
		count_loss(LOSS_UNSUPPORTED);
		return 0;
	}
	struct http_request *r = enter(&key);
	if (!r)
		return 0;
	r->event.head.target = key.target;
	r->event.head.start = bpf_ktime_get_boot_ns();
	r->response = GO_ARG3(ctx);
	r->request = GO_ARG4(ctx);
	if (!read_request(&key, r)) {
		count_loss(LOSS_READ);
		return 0;
	}
	bool remote = r->traceparents == 1 && parse_traceparent(r->traceparent, r->buffer, &r->parent);
	bool yes = start_span(&r->event.head, remote ? &r->parent : NULL);
	r->state = yes ? HTTP_SAMPLED : HTTP_UNSAMPLED;
	return 0;
}

// func (mux *ServeMux) findHandler(r *Request) (h Handler, patStr string, _ *pattern, matches []string), Go 1.22+
// func (mux *ServeMux) handler(host, path string) (h Handler, pattern string), before
// Stops in or behind it where the results are known. A nested mux matches later and better: the last one counts.
SEC("uprobe/mux_match")
int mux_match(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &mux_match_points);
	struct span_key key = { .target = target_id(ctx), .goroutine = goroutine_id(ctx) };

	if (!p)
		return 0;
	struct http_request *r = bpf_map_lookup_elem(&http_requests, &key);
	if (!r || r->state != HTTP_SAMPLED)
		return 0;
	r->route_ptr = result_word(ctx, p, 2);
	r->route_len = result_word(ctx, p, 3);
	return 0;
}

// read_route takes the route from the request itself if its mux wrote it there, else from the route probe.
static __always_inline void read_route(struct http_request *r)
{
	struct go_string own = {}, matched = { .ptr = r->route_ptr, .len = r->route_len };

	if (request_pattern >= 0)
		own = read_string_header(r->request + request_pattern);
	else if (request_pat >= 0) {
		__u64 pat = read_u64(r->request + request_pat);
		if (pat)
			own = read_string_header(pat + pattern_str);
	}
	if (matched.len) {
		if (own.ptr == matched.ptr)
			routes_spare++;
		else
			routes_needed++;
		own = matched;
	} else if (!own.len) {
		routes_missed++;
	}
	r->event.route = append(&r->event.text, own, ROUTE_MAX);
}

#define RESPONSE_WORD(field) (*(__u64 *)(r->buffer + response_##field))

// finish ends the request, if there is one, and sends its event.
static __always_inline void finish(struct http_request *r)
{
	__u64 size = response_size;

	if (r->state == HTTP_UNSAMPLED)
		count_loss(LOSS_UNSAMPLED);
	if (r->state != HTTP_SAMPLED)
		return;
	r->event.head.end = bpf_ktime_get_boot_ns();
	if (size > BUFFER_SIZE)
		size = BUFFER_SIZE;
	if (bpf_probe_read_user(r->buffer, size, (void *)r->response)) {
		count_loss(LOSS_READ);
		return;
	}
	r->event.status = RESPONSE_WORD(status);
	r->event.header_written = r->buffer[response_wrote_header];
	r->event.body_size = RESPONSE_WORD(written);
	r->event.hijacked = read_u8(RESPONSE_WORD(conn) + conn_hijacked);
	read_route(r);
	size = __builtin_offsetof(struct http_server_event, text.data) + r->event.text.used;
	barrier_var(size); // or the compiler checks the summand, and the verifier of Linux 5.10 does not see that the sum is bounded
	if (size > sizeof(r->event))
		size = sizeof(r->event);
	emit(&r->event, size);
}

// In func (c *conn) serve(ctx context.Context), behind its call of ServeHTTP.
SEC("uprobe/serve_http_return")
int serve_http_return(struct pt_regs *ctx)
{
	struct span_key key = { .target = target_id(ctx), .goroutine = goroutine_id(ctx) };

	if (!find_point(ctx, &serve_http_return_points))
		return 0;
	struct http_request *r = bpf_map_lookup_elem(&http_requests, &key);
	if (!r)
		return 0;
	finish(r);
	r->state = HTTP_IDLE;
	if (connections > IDLE_MAX)
		leave(&key);
	return 0;
}

// read_panic keeps the type of the innermost panic's value, and its text if the value is a string or begins with one.
static __always_inline void read_panic(struct pt_regs *ctx, struct http_request *r, __u64 bias)
{
	__u64 panic = read_u64(GO_G(ctx) + g_panic);
	struct go_iface arg = {};

	r->event.ended = HTTP_EXITED;
	if (!panic || bpf_probe_read_user(&arg, sizeof(arg), (void *)(panic + panic_arg)) || !arg.type)
		return;
	r->event.ended = HTTP_PANICKED;
	r->event.panic_type = arg.type - bias;
	if (in_set(&text_types, r->event.panic_type))
		r->event.panic_text = append(&r->event.text, read_string_header(arg.data), PANIC_MAX);
}

// The deferred function of (*conn).serve: it runs when a connection ends, and a request still in flight then has panicked or
// called runtime.Goexit.
SEC("uprobe/serve_unwind")
int serve_unwind(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &serve_unwind_points);
	struct span_key key = { .target = target_id(ctx), .goroutine = goroutine_id(ctx) };

	if (!p)
		return 0;
	struct http_request *r = bpf_map_lookup_elem(&http_requests, &key);
	if (!r)
		return 0;
	if (r->state == HTTP_SAMPLED)
		read_panic(ctx, r, load_bias(ctx, p));
	finish(r);
	leave(&key);
	return 0;
}
