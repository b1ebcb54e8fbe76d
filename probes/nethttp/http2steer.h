// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Trace context for an HTTP/2 request by steering. (*clientStream).encodeAndWriteHeaders has the fields encoded into a bytes.Buffer of the
// connection (https://github.com/golang/go/blob/go1.26.0/src/net/http/h2_bundle.go) while it holds the connection's write lock. When
// the last one is in, it is made to write more.
#pragma once

#include "carried.h"
#include "http2write.h"
#include "steerfields.h"

volatile const __s64 stream_conn, conn_hbuf;

// fill_note finds the call that the goroutine encodes the header for, and the buffer. The note's second writer is the clientStream.
static __always_inline enum reading fill_note(struct span_key *key, struct steer_note *note, struct goroutine *g)
{
	struct span_key stream = { .target = key->target, .role = ROLE_CLIENT, .goroutine = g->number };
	struct http_call *c = g->number ? call_of_stream(&stream, g->creator) : NULL;
	__u64 limit = HEADER_LIST_MIN;

	if (!g->number || (c && c->slot.state == OPERATION_UNREAD))
		return READ_FAILED;
	if (!c || !c->work.header || stream_conn == ABSENT || conn_hbuf == ABSENT)
		return READ_NOTHING;
	__u64 conn = read_u64(note->writer[1] + stream_conn);
	if (!conn || (conn_peer_max_header_list != ABSENT && bpf_probe_read_user(&limit, sizeof(limit), (void *)(conn + conn_peer_max_header_list))))
		return READ_FAILED;
	if (limit < HEADER_LIST_MIN) {
		count_loss(LOSS_INJECT_NO_ROOM);
		return READ_NOTHING;
	}
	note->number = g->number;
	note->owner = ref_to(&c->slot);
	note->header = c->work.header;
	note->writer[0] = conn + conn_hbuf;
	return READ_DONE;
}

// note_stream notes whose call the goroutine encodes the header for; without a call if that cannot be read. 1: cs
static __always_inline void note_stream(struct pt_regs *ctx)
{
	struct span_key key = caller_key(ctx, ROLE_CLIENT);
	struct steer_note note = { .writer = { 0, GO_ARG1(ctx) } };
	struct goroutine g = try_goroutine(ctx);

	if (fill_note(&key, &note, &g) == READ_NOTHING)
		bpf_map_delete_elem(&steer_notes, &key); // of a header that was not written
	else
		bpf_map_update_elem(&steer_notes, &key, &note, BPF_ANY);
}

// read_note is fill_note for a note without a call, where the header's fields have been encoded: by then its goroutine has read what that needs. False
// if it cannot be read all the same, which is counted, or needs nothing.
static __always_inline bool read_note(struct pt_regs *ctx, struct span_key *key, struct steer_note *note)
{
	struct goroutine g = {};

	read_goroutine(ctx, &g); // or it has no number
	enum reading reading = fill_note(key, note, &g);
	if (reading == READ_FAILED)
		count_loss(LOSS_INJECT_FAULT);
	return reading == READ_DONE;
}

// compose_fields makes the text of the fields and finds its pieces: 1 if all are in the target's memory.
__noinline int compose_fields(__u32 target, __u64 goroutine, __u64 bias)
{
	struct span_key key = { .target = target, .role = ROLE_CLIENT, .goroutine = goroutine };
	struct steering *s = find_steering(&key);
	struct http_call *c = s ? owner_of(s) : NULL;

	if (!c)
		return 0;
	put_fields(s, &c->event.head, carried_state(s->note.owner) ? c->slot.trace_state_len : 0, bias);
	if (all_hold(&key, s))
		return 1;
	count_loss(LOSS_INJECT_FAULT);
	return 0;
}

// encoded says whether the fields were encoded without an error: encodeHeaders (until Go 1.24) returns the buffer's content and an error,
// encodeRequestHeaders two bools and an error.
static __always_inline bool encoded(struct pt_regs *ctx, struct steering *s, struct go_slice content)
{
	s->results[0] = GO_ARG1(ctx);
	s->results[1] = GO_ARG2(ctx);
	s->results[2] = GO_ARG3(ctx);
	s->results[3] = GO_ARG4(ctx);
	s->results[4] = GO_ARG5(ctx);
	s->content = content.ptr && s->results[0] == content.ptr && s->results[1] == content.len && s->results[2] == content.cap;
	return content.len && !(s->content ? s->results[3] : s->results[2]);
}

// end_fields lets the code go on behind the call as if it had just come back. False: the buffer cannot be read at this moment.
static __always_inline bool end_fields(struct pt_regs *ctx, struct span_key *key, struct steering *s)
{
	if (s->content) {
		struct go_slice content = unread(s->note.writer[0]);
		if (is_due(faults.read) || !content.ptr)
			return false;
		s->results[0] = content.ptr;
		s->results[1] = content.len;
		s->results[2] = content.cap;
	}
	SET_ARG1(ctx, s->results[0]);
	SET_ARG2(ctx, s->results[1]);
	SET_ARG3(ctx, s->results[2]);
	SET_ARG4(ctx, s->results[3]);
	SET_ARG5(ctx, s->results[4]);
	SET_IP(ctx, s->ret);
	stop_steering(key);
	return true;
}

// begin_fields prepares a header's fields where its own have been encoded. False: it goes without, which is counted.
static __always_inline bool begin_fields(struct pt_regs *ctx, struct span_key *key, struct steering *s, const volatile struct point *p, __u64 bias)
{
	struct go_slice content = unread(s->note.writer[0]);

	s->back = REG_IP(ctx);
	s->ret = s->back - p->behind;
	if (!may_add_to(content))
		return false;
	if (!may_go_on(ctx, s->ret, s->back)) {
		count_loss(LOSS_INJECT_PREEMPTED);
		return false;
	}
	return encoded(ctx, s, content) && compose_fields(key->target, key->goroutine, bias) && may_begin(s, key->target);
}

// continue_fields makes the goroutine write the next piece. It stops where the fields' encoding has come back, and each piece.
// (*bytes.Buffer).WriteString: 1: b, 2–3: s
static __always_inline void continue_fields(struct pt_regs *ctx, const volatile struct point *p)
{
	struct span_key key = caller_key(ctx, ROLE_CLIENT);
	struct steering *s = find_steering(&key);
	__u64 bias = load_bias(ctx, p);
	struct go_string piece = {};
	bool may = true;

	struct steer_note *note = bpf_map_lookup_elem(&steer_notes, &key);
	if (note) {
		if ((REG_IP(ctx) ^ p->addr) & 0xfff) // another agent's program came first
			return;
		if (!note->owner && !read_note(ctx, &key, note)) {
			bpf_map_delete_elem(&steer_notes, &key);
			return;
		}
		s = new_steering(ctx, &key, note);
		if (!s)
			return;
		if (!begin_fields(ctx, &key, s, p, bias)) {
			stop_steering(&key);
			return;
		}
	} else {
		if (!s || s->state != STEER_GOING || !at_place(ctx, s, s->back))
			return;
		may = may_go_on(ctx, s->ret, s->back);
	}
	if ((!next_piece(&key, s, &piece) || !may) && (end_fields(ctx, &key, s) || !may))
		return;
	SET_ARG1(ctx, s->note.writer[0]); // an empty piece, which makes the buffer's page present, if it could not be read
	SET_ARG2(ctx, piece.ptr);
	SET_ARG3(ctx, piece.len);
	make_call(ctx, bias + buffer_write_string, s->ret);
}
