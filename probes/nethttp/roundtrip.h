// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// A round trip of a net/http.RoundTripper from its call to its return, whichever package's.
#pragma once

#include "opencall.h"

static __always_inline void withdraw(struct span_key *key, struct http_call *c)
{
	struct header_key k = { .target = key->target, .header = c->work.header };
	struct header_owner *owner = k.header ? bpf_map_lookup_elem(&calls_by_header, &k) : NULL;

	c->work.header = 0;
	if (!owner)
		return;
	if (owner->users <= 1)
		bpf_map_delete_elem(&calls_by_header, &k);
	else
		__sync_fetch_and_add(&owner->users, -1);
}

// within says whether the call at hand is made by one that is traced already, by another package's probe. What is left of a call
// that panicked lies no less deep. Where one of both goroutines is not known the stack pointer tells it: the stack was hardly moved in between.
static __always_inline bool within(struct pt_regs *ctx, struct http_call *c, struct goroutine *g)
{
	if (!c || c->slot.state == OPERATION_IDLE || c->event.head.probe == probe_index)
		return false;
	if (!g->number || !c->slot.goroutine)
		return REG_SP(ctx) < c->work.sp;
	return c->slot.goroutine == g->number && g->depth > c->work.depth;
}

// begin_call starts the span of func (t *Transport) RoundTrip(req *Request) (*Response, error): 1: t, 2: req
static __always_inline void begin_call(struct pt_regs *ctx, const volatile struct point *p)
{
	struct span_key key = caller_key(ctx, ROLE_CLIENT);
	struct http_call *c = find_call(&key);
	struct goroutine g = try_goroutine(ctx);

	if (within(ctx, c, &g))
		return;
	c = (struct http_call *)enter(&key, (struct any_operation *)c);
	if (!c)
		return;
	c->event.head.start = bpf_ktime_get_boot_ns();
	c->event.head.probe = probe_index;
	c->work.request = GO_ARG2(ctx);
	c->work.bias = load_bias(ctx, p);
	c->work.depth = g.depth;
	c->work.sp = REG_SP(ctx);
	c->slot.state = OPERATION_UNREAD;
	if (g.number)
		own_number(&key, &c->slot, g.number);
	else
		disown_number(&key, &c->slot); // of the one before
	if (is_due(faults.read) || !open_call(c->slot.place, g.number, g.creator))
		put_off(c, ref_to(&c->slot));
}

static __always_inline void read_outcome(struct pt_regs *ctx, const volatile struct point *p, struct http_call *c)
{
	__u64 response = result_word(ctx, p, 0), error = result_word(ctx, p, 1);
	__u8 answer[ANSWER_BUFFER] __attribute__((aligned(8)));

	if (error) {
		c->event.failed = 1;
		c->event.error_type = dynamic_type(c->event.head.target, error, load_bias(ctx, p));
	} else if (response && !bpf_probe_read_user(answer, sizeof(answer), (void *)response)) {
		c->event.status = WORD_AT(answer, response_status);
		c->event.proto_major = WORD_AT(answer, response_proto_major);
		c->event.proto_minor = WORD_AT(answer, response_proto_minor);
	}
}

// end_call ends the span where RoundTrip returns. Results: 0: *Response, 1–2: error
static __always_inline void end_call(struct pt_regs *ctx, const volatile struct point *p)
{
	struct span_key key = caller_key(ctx, ROLE_CLIENT);
	struct http_call *c = find_call(&key);

	if (!c || c->slot.state == OPERATION_IDLE || c->event.head.probe != probe_index)
		return;
	if (c->slot.state == OPERATION_UNREAD && open_postponed(key.target) && c->work.header)
		count_loss(LOSS_INJECT_FAULT); // no request was written since: this one's neither, or before
	if (c->slot.state == OPERATION_UNREAD)
		count_loss(LOSS_READ);
	withdraw(&key, c);
	if (c->slot.state == OPERATION_UNSAMPLED)
		count_loss(LOSS_UNSAMPLED);
	if (c->slot.state == OPERATION_SAMPLED) {
		c->event.head.end = bpf_ktime_get_boot_ns();
		read_outcome(ctx, p, c);
		__u64 size = __builtin_offsetof(struct http_client_event, text.data) + c->event.text.used;
		barrier_var(size); // see server.bpf.c
		if (size > sizeof(c->event))
			size = sizeof(c->event);
		emit(&c->event, size);
	}
	rest(&key, &c->slot);
}
