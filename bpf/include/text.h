// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Text of an event: strings of the target behind each other, each cut to its own length.
#pragma once

#include "event.h"
#include "go.h"
#include "seen.h"

#define TEXT_SIZE 3200 // at least what one event appends at most, so that long headers take no room from what comes later

// A piece of the text.
struct span_text {
	__u16 off, len;
};

// Of a constant of the program the event has the address, as of a text in a page that is not present: user space reads the program's file.
struct text_address {
	__u64 ptr, len;
};

enum text_form {
	TEXT_BY_ADDRESS = 1 << 15, // set in a piece's length: the bytes are a text_address
	TEXT_LONGEST = TEXT_SIZE,
};

struct text_area {
	__u16 used;
	__u8 data[TEXT_SIZE];
};

static __always_inline __u32 append_address(struct text_area *t, __u64 ptr, __u64 len)
{
	struct text_address address = { .ptr = ptr, .len = len };
	__u64 off = t->used;

	if (off > TEXT_SIZE - sizeof(address)) {
		count_loss(LOSS_TRUNCATED);
		return 0;
	}
	__builtin_memcpy(t->data + off, &address, sizeof(address));
	t->used = off + sizeof(address);
	return off | (TEXT_BY_ADDRESS | sizeof(address)) << 16;
}

// append_text copies at most max bytes (a constant) of a string of the target; what does not fit is cut and counted. Returns
// the offset, and the length above bit 16. Not inlined: what is called a dozen times per event should be in the cache once.
static __noinline __u32 append_text(struct text_area *t, __u64 ptr, __u64 len, __u32 max)
{
	__u64 off = t->used, n = max;

	if (!len || !ptr)
		return 0;
	if (off > TEXT_SIZE - max) {
		count_loss(LOSS_TRUNCATED);
		return 0;
	}
	if (len < max)
		n = len;
	else if (len > max)
		count_loss(LOSS_TRUNCATED);
	barrier_var(n); // or the compiler drops the check below, which the verifier wants to see
	if (n > max)
		return 0;
	if (bpf_probe_read_user(t->data + off, n, (void *)ptr))
		return append_address(t, ptr, n);
	t->used = off + n;
	return off | n << 16;
}

static __always_inline struct span_text append(struct text_area *t, struct go_string s, const __u32 max)
{
	__u32 r = append_text(t, s.ptr, s.len, max);
	struct span_text piece = { .off = r, .len = r >> 16 };

	return piece;
}

// append_literal is append for what is often a constant of the program, which it does not read then.
static __always_inline struct span_text append_literal(struct text_area *t, struct go_string s, const __u32 max, __u64 bias)
{
	__u32 r;

	if (!s.len || !never_changes(s.ptr, bias))
		return append(t, s, max);
	if (s.len > max)
		count_loss(LOSS_TRUNCATED);
	r = append_address(t, s.ptr, s.len > max ? max : s.len);
	return (struct span_text){ .off = r, .len = r >> 16 };
}

// append_two appends two texts that lie behind each other with one byte between them, by one read. False, and nothing done, if they do not, or are longer
// than a_max and, both together, max.
static __always_inline bool append_two(struct text_area *t, struct go_string a, const __u32 a_max, struct go_string b, const __u32 max, struct span_text *a_out, struct span_text *b_out)
{
	struct go_string both = { .ptr = a.ptr, .len = a.len + 1 + b.len };
	struct span_text piece;

	if (!a.len || !b.len || a.len > a_max || b.len > max || both.len > max || b.ptr != a.ptr + a.len + 1)
		return false;
	piece = append(t, both, max);
	if (!piece.len)
		return false;
	if (piece.len & TEXT_BY_ADDRESS) {
		t->used = piece.off;
		return false;
	}
	*a_out = (struct span_text){ .off = piece.off, .len = a.len };
	*b_out = (struct span_text){ .off = piece.off + a.len + 1, .len = b.len };
	return true;
}

static __always_inline void append_byte(struct text_area *t, __u8 c)
{
	__u64 off = t->used;

	if (off >= TEXT_SIZE)
		return;
	t->data[off] = c;
	t->used = off + 1;
}
