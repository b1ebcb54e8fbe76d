// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The panic that unwinds a goroutine, read where a deferred function begins:
// https://github.com/golang/go/blob/go1.26.0/src/runtime/panic.go
#pragma once

#include "point.h"
#include "text.h"

#define PANIC_MAX 256

enum panic_kind { PANIC_NONE, PANIC_VALUE, PANIC_GOEXIT };

struct go_panic {
	__u64 type; // link-time address of the type descriptor of the value, 0: nil
	__s64 x, y; // of a runtime.boundsError
	enum panic_kind kind;
	__u8 bounds, bounds_signed, bounds_code, pad;
	struct span_text text;
};

volatile const __s64 g_panic, panic_arg, panic_goexit;
volatile const __s64 bounds_x, bounds_y, bounds_signed, bounds_code;
volatile const struct addr_set text_types; // of values that are a string or point to what begins with one
volatile const struct addr_set bounds_types;

// read_panic reads the innermost panic of the current goroutine: the type of its value, and its text or numbers where they
// are known to be.
static __always_inline void read_panic(struct pt_regs *ctx, const volatile struct point *p, struct go_panic *out, struct text_area *t)
{
	__u64 panic = read_u64(GO_G(ctx) + g_panic);
	struct go_iface arg = {};

	if (!panic)
		return;
	out->kind = PANIC_GOEXIT;
	if (read_u8(panic + panic_goexit))
		return;
	out->kind = PANIC_VALUE;
	if (bpf_probe_read_user(&arg, sizeof(arg), (void *)(panic + panic_arg)) || !arg.type)
		return;
	out->type = arg.type - load_bias(ctx, p);
	if (in_set(&text_types, out->type)) {
		out->text = append(t, read_string_header(arg.data), PANIC_MAX);
	} else if (in_set(&bounds_types, out->type)) {
		out->bounds = 1;
		out->x = read_u64(arg.data + bounds_x);
		out->y = read_u64(arg.data + bounds_y);
		out->bounds_signed = read_u8(arg.data + bounds_signed);
		out->bounds_code = read_u8(arg.data + bounds_code);
	}
}
