// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The end of a call: what it returns.
#pragma once

#include "call.h"

__noinline int error_index(__u64 type)
{
	return value_index(&known_errors, type);
}

// look_at_error keeps what an error says, in place of what the one around it said; 0 if it was the innermost.
__noinline int look_at_error(__u32 place, __u64 bias, __u32 level)
{
	struct sql_operation *c = call_at(place);

	__u64 type = c ? dynamic_type(c->event.head.target, c->work.value.type, bias) : 0, data;
	barrier_var(level); // or the compiler moves the check below away from where the verifier wants to see it
	if (!type || level >= MAX_WRAPPED)
		return 0;
	c->event.error_types[level] = type;
	data = c->work.value.data;
	__u32 i = error_index(type);
	if (i >= MAX_VALUES)
		return 0;
	const volatile struct known_value *v = &known_errors.at[i];
	struct text_area *t = &c->event.text;
	struct go_string message = value_string(v, 0, data), code = value_string(v, 1, data);
	if (message.len) {
		if (c->event.message.len)
			t->used = c->event.message.off; // of the error around it: nothing lies behind it
		c->event.message = append(t, message, MESSAGE_MAX);
	}
	if (code.len)
		c->event.code = append(t, code, CODE_MAX);
	if (v->number.step[0] != VALUE_PATH_END) {
		c->event.numbered = 1;
		c->event.error_number = value_number(v, data);
	}
	__u64 inner = code.len ? 0 : address_at(&v->inner, data);
	if (inner)
		c->work.value = read_iface(inner);
	return inner != 0;
}

static __always_inline void read_failure(struct pt_regs *ctx, const volatile struct point *p, struct sql_operation *c)
{
	c->work.value.type = result_word(ctx, p, 0);
	c->work.value.data = result_word(ctx, p, 1);
	if (!c->work.value.type)
		return;
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_WRAPPED; i++) {
		if (!look_at_error(c->slot.place, load_bias(ctx, p), i))
			return;
	}
}

// leaves_nested says whether it is a nested call that ends here, or none. Within retry a ping only gets its connection.
static __always_inline bool leaves_nested(struct sql_operation *c, bool in_retry)
{
	if (!c->work.nested)
		return in_retry && !retries(c->event.call);
	if (in_retry && c->work.nested_ping & 1)
		return true;
	c->work.nested--;
	c->work.nested_ping >>= 1;
	return true;
}

// end_call ends the span where the call, or retry within it, returns. Results: 0–1: error
static __always_inline void end_call(struct pt_regs *ctx, const volatile struct point *p, bool in_retry)
{
	struct span_key key = caller_key(ctx, ROLE_DATABASE);
	struct sql_operation *c = find_call(&key);

	if (!c || c->slot.state == OPERATION_IDLE || leaves_nested(c, in_retry))
		return;
	if (c->slot.state == OPERATION_UNSAMPLED)
		count_loss(LOSS_UNSAMPLED);
	if (c->slot.state == OPERATION_SAMPLED) {
		c->event.head.end = bpf_ktime_get_boot_ns();
		read_failure(ctx, p, c);
		__u64 size = __builtin_offsetof(struct sql_event, text.data) + c->event.text.used;
		barrier_var(size); // or the compiler drops the check below, which the verifier wants to see
		if (size > sizeof(c->event))
			size = sizeof(c->event);
		emit(&c->event, size);
	}
	rest(&key, &c->slot);
}
