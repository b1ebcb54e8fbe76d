// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Trace context for an HTTP/1 request by steering: (*Request).write ends the header by io.WriteString(w, "\r\n")
// (https://github.com/golang/go/blob/go1.26.0/src/net/http/request.go); it is made to write the lines by the same call before.
#pragma once

#include "carried.h"
#include "opencall.h"

#define LINE_NAME 13 // "Traceparent: "
#define STATE_LINE 12 // "Tracestate: "
#define STATE_TEXT (STATE_LINE + 2)
#define LINE_LENGTH (LINE_NAME + TRACEPARENT_LEN + 2)

volatile const struct addr_set bufio_writer_itabs;
volatile const __u64 io_write_string;
volatile const struct points steer_end_return_points;

// note_header notes whose call the goroutine writes a header for. 1: h, 2–3: w
static __always_inline void note_header(struct pt_regs *ctx, const volatile struct point *p)
{
	struct span_key key = caller_key(ctx, ROLE_CLIENT);
	struct header_key k = { .target = key.target, .header = GO_ARG1(ctx) };
	struct header_owner *owner = find_owner(&k);

	if (!owner)
		return;
	if (!owner->call) {
		count_loss(LOSS_INJECT_SHARED);
		return;
	}
	if (!in_set(&bufio_writer_itabs, GO_ARG2(ctx) - load_bias(ctx, p))) {
		count_loss(LOSS_INJECT_WRITER);
		return;
	}
	struct goroutine g = try_goroutine(ctx);
	struct steer_note note = {
		.number = g.number, .depth = g.depth, .sp = REG_SP(ctx), .owner = owner->call, .header = k.header, .writer = { GO_ARG2(ctx), GO_ARG3(ctx) },
	};
	bpf_map_update_elem(&steer_notes, &key, &note, BPF_ANY);
}

// compose_lines makes the text of the lines and finds its pieces: 1 if all are in the target's memory. Global, for a stack of
// its own.
__noinline int compose_lines(__u32 target, __u64 goroutine, __u64 bias)
{
	struct span_key key = { .target = target, .role = ROLE_CLIENT, .goroutine = goroutine };
	struct steering *s = find_steering(&key);
	const __u8 name[LINE_NAME + 1] = "Traceparent: ", state[STATE_TEXT + 1] = "Tracestate: \r\n";
	struct http_call *c = s ? owner_of(s) : NULL;

	if (!c)
		return 0;
	__u8 *text = s->text;
	if (carried_state(s->note.owner)) {
		__builtin_memcpy(text, state, STATE_TEXT);
		text += STATE_TEXT;
		s->length = STATE_TEXT;
		s->state_length = c->slot.trace_state_len;
		add_text(s, TEXT_STATE_LINE, bias);
		s->state_at = s->count;
		add_text(s, TEXT_END, bias);
	}
	__builtin_memcpy(text, name, LINE_NAME);
	format_traceparent(text + LINE_NAME, &c->event.head);
	text[LINE_LENGTH - 2] = '\r';
	text[LINE_LENGTH - 1] = '\n';
	s->length += LINE_LENGTH;
	add_parent(s, &c->event.head, TEXT_LINE_NAME, TEXT_LINE_END, bias);
	if (all_hold(&key, s))
		return 1;
	count_loss(LOSS_INJECT_FAULT);
	return 0;
}

// ends_header says whether the string that the goroutine is about to write ends a header, and counts it if not. One that lies where nothing changes is
// read once.
static __always_inline bool ends_header(__u32 target, struct go_string s, __u64 bias)
{
	const __u16 end = '\r' | '\n' << 8;
	__u16 text;

	if (s.len == sizeof(end) && recall(target, s.ptr) == end)
		return true;
	if (s.len == sizeof(end) && bpf_probe_read_user(&text, sizeof(text), (void *)s.ptr)) {
		report_absent(target, s.ptr);
		count_loss(LOSS_INJECT_FAULT);
		return false;
	}
	if (s.len != sizeof(end) || text != end) {
		count_loss(LOSS_INJECT_WRITER);
		return false;
	}
	if (never_changes(s.ptr, bias))
		remember(target, s.ptr, end);
	return true;
}

// in_frame says whether the goroutine is in the frame of the function call that a note was made in. Without both depths the stack pointer tells it: the
// stack was hardly moved in between.
static __always_inline bool in_frame(struct pt_regs *ctx, struct steer_note *note, __u64 depth)
{
	return note->depth && depth ? note->depth == depth : note->sp == REG_SP(ctx);
}

// begin_lines replaces the string that the goroutine is about to write by the lines' first piece.
// io.WriteString: 1–2: w, 3–4: s
static __always_inline void begin_lines(struct pt_regs *ctx, const volatile struct point *p)
{
	struct span_key key = caller_key(ctx, ROLE_CLIENT);
	struct steering *s = find_steering(&key);
	__u64 bias = load_bias(ctx, p);
	struct go_string piece;

	if (s && s->rerun && at_place(ctx, s, s->call)) {
		s->rerun = 0;
		if (s->next > s->count) // the target's own call, at last
			stop_steering(&key);
		return;
	}
	__u64 depth = depth_of(ctx);
	struct go_string own = { .ptr = GO_ARG3(ctx), .len = GO_ARG4(ctx) };
	// This very call is to come, and is none of ours. The header that was begun is no more: its goroutine has ended in the middle, and another one has its g.
	// Or this one is written within that.
	if (s && s->state == STEER_GOING && REG_IP(ctx) == s->call) {
		if (depth == s->note.depth)
			stop_steering(&key);
		else
			s->within = REG_SP(ctx);
	}
	struct steer_note *note = bpf_map_lookup_elem(&steer_notes, &key);
	if (!note)
		return;
	bool expected = in_frame(ctx, note, depth) && GO_ARG1(ctx) == note->writer[0] && GO_ARG2(ctx) == note->writer[1] && steer_end_return_points.n == 1;
	if (!expected)
		count_loss(LOSS_INJECT_WRITER);
	if (!expected || !ends_header(key.target, own, bias)) {
		bpf_map_delete_elem(&steer_notes, &key);
		return;
	}
	s = new_steering(ctx, &key, note);
	if (!s)
		return;
	if (!s->note.depth)
		s->note.depth = depth;
	if (!s->note.depth) {
		stop_steering(&key);
		count_loss(LOSS_INJECT_FAULT);
		return;
	}
	s->own = own;
	s->call = REG_IP(ctx);
	s->back = bias + steer_end_return_points.at[0].addr;
	s->ret = s->back - steer_end_return_points.at[0].behind;
	if (!compose_lines(key.target, key.goroutine, bias) || !may_begin(s, key.target) || !next_piece(&key, s, &piece)) {
		stop_steering(&key);
		return;
	}
	SET_ARG3(ctx, piece.ptr);
	SET_ARG4(ctx, piece.len);
}

// continue_lines makes the goroutine write the next piece, and last what it was about to write itself. If a piece cannot be
// written, it goes on with the error as if that had been of its own.
// io.WriteString's results: 1: n, 2–3: err
static __always_inline void continue_lines(struct pt_regs *ctx, const volatile struct point *p)
{
	struct span_key key = caller_key(ctx, ROLE_CLIENT);
	struct steering *s = find_steering(&key);
	struct go_string piece;

	if (!s || s->state != STEER_GOING || s->rerun)
		return;
	if (s->within == REG_SP(ctx)) {
		s->within = 0;
		return;
	}
	if (!at_place(ctx, s, s->back))
		return;
	if (result_word(ctx, p, 1)) { // an error
		stop_steering(&key);
		return;
	}
	bool last = !next_piece(&key, s, &piece);
	if (last) {
		piece = s->own;
		s->next = s->count + 1;
	}
	SET_ARG1(ctx, s->note.writer[0]);
	SET_ARG2(ctx, s->note.writer[1]);
	SET_ARG3(ctx, piece.ptr);
	SET_ARG4(ctx, piece.len);
	if (is_due(faults.read) || call_comes_back(ctx, s->ret, s->ret) != COMES_BACK) { // the goroutine was preempted right here, or that cannot be told
		s->rerun = 1;
		SET_IP(ctx, s->call);
		return;
	}
	make_call(ctx, load_bias(ctx, p) + io_write_string, s->ret);
	if (last)
		stop_steering(&key);
}
