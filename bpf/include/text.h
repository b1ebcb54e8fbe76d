// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Text of an event: strings of the target behind each other, each cut to its own length.
#pragma once

#include "event.h"
#include "go.h"

#define TEXT_SIZE 2560

// A piece of the text.
struct span_text {
	__u16 off, len;
};

struct text_area {
	__u16 used;
	__u8 data[TEXT_SIZE];
};

// append copies at most max bytes of a string of the target (max is a constant); what does not fit is cut and counted.
static __always_inline struct span_text append(struct text_area *t, struct go_string s, const __u32 max)
{
	struct span_text piece = {};
	__u64 off = t->used, n = max;

	if (!s.len || !s.ptr)
		return piece;
	if (off > TEXT_SIZE - max) {
		count_loss(LOSS_TRUNCATED);
		return piece;
	}
	if (s.len < max)
		n = s.len;
	else if (s.len > max)
		count_loss(LOSS_TRUNCATED);
	barrier_var(n); // or the compiler drops the check below, which the verifier wants to see
	if (n > max)
		return piece;
	if (bpf_probe_read_user(t->data + off, n, (void *)s.ptr)) {
		count_loss(LOSS_TRUNCATED);
		return piece;
	}
	piece.off = off;
	piece.len = n;
	t->used = off + n;
	return piece;
}

static __always_inline void append_byte(struct text_area *t, __u8 c)
{
	__u64 off = t->used;

	if (off >= TEXT_SIZE)
		return;
	t->data[off] = c;
	t->used = off + 1;
}
