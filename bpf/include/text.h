// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Text of an event: strings of the target behind each other, each cut to its own length.
#pragma once

#include "event.h"
#include "go.h"

#define TEXT_SIZE 3200 // at least what one event appends at most, so that long headers take no room from what comes later

// A piece of the text.
struct span_text {
	__u16 off, len;
};

// Constants of the target lie in pages that are present only once it has used them. Of a text that is in none, the event has the
// address: user space reads the program's file.
struct absent_text {
	__u64 ptr, len;
};

enum text_form {
	TEXT_ABSENT = 1 << 15, // set in a piece's length: the bytes are an absent_text
	TEXT_LONGEST = TEXT_SIZE,
};

struct text_area {
	__u16 used;
	__u8 data[TEXT_SIZE];
};

static __always_inline __u32 append_absent(struct text_area *t, __u64 ptr, __u64 len)
{
	struct absent_text absent = { .ptr = ptr, .len = len };
	__u64 off = t->used;

	if (off > TEXT_SIZE - sizeof(absent)) {
		count_loss(LOSS_TRUNCATED);
		return 0;
	}
	__builtin_memcpy(t->data + off, &absent, sizeof(absent));
	t->used = off + sizeof(absent);
	return off | (TEXT_ABSENT | sizeof(absent)) << 16;
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
		return append_absent(t, ptr, n);
	t->used = off + n;
	return off | n << 16;
}

static __always_inline struct span_text append(struct text_area *t, struct go_string s, const __u32 max)
{
	__u32 r = append_text(t, s.ptr, s.len, max);
	struct span_text piece = { .off = r, .len = r >> 16 };

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
