// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Trace context for a client's request by steering. (*loopyWriter).writeHeader has the fields encoded, one by one, into a bytes.Buffer
// (https://github.com/grpc/grpc-go/blob/v1.80.0/internal/transport/controlbuf.go). When the loop is over, it is made to write more; each
// call is made as if it were the last one of (*hpack.Encoder).WriteField, and returns to where that did (process.Code.LoopEnd).
#pragma once

#include "carried.h"
#include "request.h"
#include "steerfields.h"

volatile const __s64 transport_loopy, loopy_buffer;
volatile const struct addr_set request_returns; // where writeHeader returns to if the header is a request's
volatile const struct points steer_request_failed_points;

// can_steer says whether this binary has all that is read here.
static __always_inline bool can_steer(void)
{
	return can_find() && (out_stream_id | out_stream_quota) >= 0;
}

// The request that a transport's writer was at last. Their numbers grow, so an outStream with a greater one is no older request's.
struct last_request {
	__u64 goroutine; // its number
	__u32 id, pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct span_key);
	__type(value, struct last_request);
} last_requests SEC(".maps");

// last_number returns the number of the request that the writer was at last, the greatest there is if that is not known.
static __always_inline __u32 last_number(struct span_key *key, __u64 goroutine)
{
	struct last_request *last = bpf_map_lookup_elem(&last_requests, key);

	return last && last->goroutine == goroutine ? last->id : ~0U;
}

// is_at says whether addr is the request that the writer is at, or without an address, whether its outStream is there, and notes its number.
static __always_inline bool is_at(struct span_key *key, struct request *r, __u64 addr, __u64 sp)
{
	struct last_request now = {};

	if (addr && (!may_point(addr) || !is_request(addr, r) || !is_written(r, sp)))
		return false;
	now.goroutine = read_u64(key->goroutine + runtime_g_goid);
	if (!addr && !find_stream(sp, r, last_number(key, now.goroutine)))
		return false;
	now.id = number_of(r);
	if (can_find_stream() && now.goroutine)
		bpf_map_update_elem(&last_requests, key, &now, BPF_ANY);
	return true;
}

// note_request notes whose call the goroutine has encoded the fields for if addr is its request, and sp the frame of the function that
// writes it: 1 if so. Without an address, it is the one whose outStream is there. Global: the verifier checks it once.
__noinline int note_request(__u32 target, __u64 goroutine, __u64 addr, __u64 bias, __u64 sp)
{
	struct span_key key = { .target = target, .role = ROLE_CLIENT, .goroutine = goroutine };
	struct request r = {};

	if (!is_at(&key, &r, addr, sp))
		return 0;
	struct grpc_call *c = call_of(target, &r, bias);
	if (!c)
		return 1;
	struct steer_note note = { .owner = ref_to(&c->slot), .header = c->slot.context };
	note.writer[0] = read_u64(read_u64(r.transport + transport_loopy) + loopy_buffer);
	struct go_slice encoded = unread(note.writer[0]);
	if (encoded.ptr && (!encoded.len || encoded.len > encoded.cap))
		count_loss(LOSS_INJECT_WRITER);
	else if (may_add_to(encoded))
		bpf_map_update_elem(&steer_notes, &key, &note, BPF_ANY);
	return 1;
}

// find_request finds the request on the stack: its writer's frame begins at sp. NULL if it is to be left alone.
static __always_inline struct steer_note *find_request(struct span_key *key, __u64 sp, __u64 bias)
{
	bool garbage = is_due(faults.message) && bpf_map_lookup_elem(&last_requests, key);

	bpf_map_delete_elem(&steer_notes, key); // of a header for which there was no room
#pragma clang loop unroll(disable)
	for (int i = -1; i < STACK_WORDS && !garbage; i++) {
		__u32 word = i < 0 ? message_word : i;
		__u64 addr = read_u64(sp + word * sizeof(__u64));
		if (!addr || !note_request(key->target, key->goroutine, addr, bias, sp))
			continue;
		if (i >= 0)
			message_word = word;
		return bpf_map_lookup_elem(&steer_notes, key);
	}
	if (note_request(key->target, key->goroutine, 0, bias, sp))
		return bpf_map_lookup_elem(&steer_notes, key);
	count_loss(LOSS_INJECT_PREEMPTED); // it is garbage by now, and something else is there
	return NULL;
}

// owner_of returns the call that the header belongs to, NULL if that is over.
static __always_inline struct grpc_call *owner_of(struct steering *s)
{
	struct grpc_call *c = (struct grpc_call *)find_ref(s->note.owner);

	return c && c->slot.context == s->note.header ? c : NULL;
}

// compose_fields makes the text of the fields, with a tracestate or without, and finds its pieces: 1 if all are in the target's memory. Global, for
// a stack of its own; a search for the tracestate from here would take more stack than there is.
__noinline int compose_fields(__u32 target, __u64 goroutine, __u64 bias, int state)
{
	struct span_key key = { .target = target, .role = ROLE_CLIENT, .goroutine = goroutine };
	struct steering *s = find_steering(&key);
	struct grpc_call *c = s ? owner_of(s) : NULL;

	if (!c)
		return 0;
	put_fields(s, &c->event.head, state ? c->slot.trace_state_len : 0, bias);
	if (all_hold(&key, s))
		return 1;
	count_loss(LOSS_INJECT_FAULT);
	return 0;
}

// pass_by has nothing done when the goroutine comes by the loop's end again, which it will for the same header.
static __always_inline void pass_by(struct steering *s)
{
	s->state = STEER_NONE;
	s->rerun = 1;
}

// go_on makes the goroutine write the next piece. After the last one, the last field's encoding has come back, again.
// (*bytes.Buffer).WriteString: 1: b, 2–3: s. (*hpack.Encoder).WriteField's results: 1–2: error
static __always_inline void go_on(struct pt_regs *ctx, struct span_key *key, struct steering *s, __u64 bias)
{
	struct go_string piece;

	if (!may_go_on(ctx, s->ret, s->back) || !next_piece(key, s, &piece)) {
		pass_by(s);
		SET_ARG1(ctx, 0);
		SET_ARG2(ctx, 0);
		SET_IP(ctx, s->ret);
		return;
	}
	SET_ARG1(ctx, s->note.writer[0]);
	SET_ARG2(ctx, piece.ptr);
	SET_ARG3(ctx, piece.len);
	make_call(ctx, bias + buffer_write_string, s->ret);
}

// end_fields begins the steering where all fields are encoded, and comes by once more when it is done. Results: 0: where writeHeader
// returns to, 1: its caller's frame
static __always_inline void end_fields(struct pt_regs *ctx, const volatile struct point *p)
{
	struct span_key key = caller_key(ctx, ROLE_CLIENT);
	struct steering *s = find_steering(&key);
	const volatile struct point *failed = &steer_request_failed_points.at[0];
	__u64 bias = load_bias(ctx, p);

	if ((REG_IP(ctx) ^ p->addr) & 0xfff) // another agent's program came first
		return;
	if (s && s->rerun) {
		stop_steering(&key);
		return;
	}
	if (s && s->state == STEER_GOING && at_place(ctx, s, s->call)) {
		go_on(ctx, &key, s, bias);
		return;
	}
	if (!can_steer() || !in_set(&request_returns, result_word(ctx, p, 0) - bias))
		return;
	struct steer_note *note = find_request(&key, REG_SP(ctx) + p->results[1].off, bias);
	s = note ? new_steering(ctx, &key, note) : NULL;
	if (!s)
		return;
	s->call = REG_IP(ctx);
	s->back = bias + failed->addr;
	s->ret = s->back - failed->behind;
	enum comes_back back = call_comes_back(ctx, s->ret, s->back);
	if (back != COMES_BACK) // preempted since its last call returned, or that cannot be told
		count_loss(back == COMES_BACK_NOT ? LOSS_INJECT_PREEMPTED : LOSS_INJECT_FAULT);
	else if (compose_fields(key.target, key.goroutine, bias, carried_state(s->note.owner) != 0) && may_begin(s, key.target)) {
		go_on(ctx, &key, s, bias);
		return;
	}
	stop_steering(&key);
}

// continue_fields makes the goroutine go on where a piece is written, whose number of bytes the program takes for an error.
static __always_inline void continue_fields(struct pt_regs *ctx, const volatile struct point *p)
{
	struct span_key key = caller_key(ctx, ROLE_CLIENT);
	struct steering *s = find_steering(&key);

	if (s && s->state == STEER_GOING && at_place(ctx, s, s->back))
		go_on(ctx, &key, s, load_bias(ctx, p));
}
