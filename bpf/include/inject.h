// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Writing trace context into a buffer that the target is filling at that moment. Nothing of it counts before the buffer's
// length does, and that is written last, in one piece, when all else was read back. A goroutine that is stopped in a probe owns
// the buffer that it writes to.
#pragma once

#include "goroutine.h"
#include "operation.h"
#include "trace.h"

// What fails, for the tests that show that the target does not mind; 0: nothing.
struct faults {
	__u32 write; // this one of an injection
	__u32 read; // one of so many of the runtime's g, of what an HTTP call is, and in the middle of a steered header
	__u32 message; // of one of so many requests of gRPC it counts as garbage
	__u32 pair; // one of so many pairs of digits counts as missing
};

volatile const struct faults faults;

// is_due makes one of so many fail.
static __always_inline bool is_due(__u32 one_of)
{
	return one_of && !(bpf_get_prandom_u32() % one_of);
}

// try_goroutine is read_goroutine where nothing is known if that fails.
static __always_inline struct goroutine try_goroutine(struct pt_regs *ctx)
{
	struct goroutine g = {}, unknown = {};

	return !is_due(faults.read) && read_goroutine(ctx, &g) ? g : unknown;
}

// The writes of one injection.
enum write_step {
	WRITE_CONTEXT = 1,
	WRITE_STATE_NAME,
	WRITE_STATE_LENGTH,
	WRITE_STATE,
	WRITE_END,
	TRY_FRAME_LENGTH,
	TRY_COUNT,
	WRITE_FRAME_LENGTH,
	WRITE_COUNT,
	WRITE_STEPS,
};

// The goroutine that writes a request may be another one than the caller's: the two are brought together by the request's
// header map, which the copies of a request share.
struct header_key {
	__u64 target;
	__u64 header;
};

struct header_owner {
	__u64 call; // its ref_to; 0: there are several
	__u64 users; // calls under way; 0: it is left over
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH); // a call that panicked leaves its entry behind
	__uint(max_entries, 10000);
	__type(key, struct header_key);
	__type(value, struct header_owner);
} calls_by_header SEC(".maps");

static __always_inline __u8 hex_char(__u8 v)
{
	return v + (v < 10 ? '0' : 'a' - 10);
}

static __always_inline void hex_text(__u8 *out, const __u8 *bytes, const int size)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < size; i++) {
		out[2 * i] = hex_char(bytes[i] >> 4);
		out[2 * i + 1] = hex_char(bytes[i] & 15);
	}
}

// format_traceparent writes TRACEPARENT_LEN bytes.
static __always_inline void format_traceparent(__u8 *out, const struct span_head *h)
{
	out[0] = '0';
	out[1] = '0';
	out[2] = '-';
	hex_text(out + 3, h->trace_id, sizeof(h->trace_id));
	out[35] = '-';
	hex_text(out + 36, h->span_id, sizeof(h->span_id));
	out[52] = '-';
	hex_text(out + 53, &h->trace_flags, 1);
}

// between_1_and says a number's limits in a way that the verifier of Linux 6.1 understands: most is a power of two.
#define between_1_and(most, n) ((((n) - 1) & ((most) - 1)) + 1)

// write_user writes size bytes to the target. A macro: the helper wants to see the size's limits.
#define write_user(step, addr, bytes, size) (faults.write == (step) ? false : !bpf_probe_write_user((void *)(addr), bytes, size))

// write_checked writes size bytes to the target and reads them back by way of back, which has room for as many.
static __always_inline bool write_checked(enum write_step step, __u64 addr, const void *bytes, void *back, const __u32 size)
{
	if (!write_user(step, addr, bytes, size) || bpf_probe_read_user(back, size, (void *)addr))
		return false;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < size; i++) {
		if (((const __u8 *)bytes)[i] != ((const __u8 *)back)[i])
			return false;
	}
	return true;
}
