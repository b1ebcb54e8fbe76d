// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// W3C Trace Context (https://www.w3.org/TR/trace-context-2/) and the sampling decision, both where the span starts.
#pragma once

#include "operation.h"

#define TRACEPARENT_LEN 55
#define FLAG_SAMPLED 1
#define FLAG_RANDOM 2 // the trace ID's last 7 bytes are random: handed on from the parent

enum sampler_root { SAMPLER_ALWAYS_ON, SAMPLER_ALWAYS_OFF, SAMPLER_RATIO };

struct sampling {
	__u64 threshold; // of SAMPLER_RATIO
	__u32 root; // enum sampler_root
	__u32 parent_based;
};
volatile const struct sampling sampler;

struct trace_parent {
	__u8 trace_id[16];
	__u8 span_id[8];
	__u8 flags;
};

static const __u8 digit_plus_1[256] = {
	['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6, ['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10,
	['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

// hex_digit returns the value of a lower-case hexadecimal digit, ≥ 256 for anything else. By a table: with branches, and with what the compiler makes
// branches of, 55 digits in a row are too many ways for the verifier.
static __always_inline __u32 hex_digit(__u8 c)
{
	return (__u32)digit_plus_1[c] - 1;
}

static __always_inline __u32 hex_byte(const __u8 *s)
{
	return hex_digit(s[0]) << 4 | hex_digit(s[1]);
}

// hex_bytes decodes size bytes, ORs their values into *any, and returns false if a digit is none.
static __always_inline bool hex_bytes(const __u8 *text, __u8 *out, const int size, __u32 *any)
{
	__u32 all = 0;

#pragma clang loop unroll(disable)
	for (int i = 0; i < size; i++) {
		__u32 v = hex_byte(text + 2 * i);
		out[i] = v;
		all |= v;
	}
	*any = all;
	return all < 0x100;
}

// parse_traceparent reads a header value of the target by way of buf (TRACEPARENT_LEN + 1 bytes). Version ff, upper case, zero
// IDs and wrong lengths are invalid; higher versions may go on behind a dash. False: there is no valid parent.
static __always_inline bool parse_traceparent(__u32 target, struct go_string s, __u8 *buf, struct trace_parent *out)
{
	__u32 version, trace_id, span_id, flags, n = TRACEPARENT_LEN + 1;
	__u8 v;

	if (s.len < TRACEPARENT_LEN)
		return false;
	if (s.len == TRACEPARENT_LEN)
		n = TRACEPARENT_LEN;
	if (bpf_probe_read_user(buf, n, (void *)s.ptr)) {
		report_absent(target, s.ptr);
		return false;
	}
	if (buf[2] != '-' || buf[35] != '-' || buf[52] != '-')
		return false;
	if (!hex_bytes(buf, &v, 1, &version) || version == 0xff)
		return false;
	if (n > TRACEPARENT_LEN && (version == 0 || buf[TRACEPARENT_LEN] != '-'))
		return false;
	if (!hex_bytes(buf + 3, out->trace_id, 16, &trace_id) || !hex_bytes(buf + 36, out->span_id, 8, &span_id))
		return false;
	if (!hex_bytes(buf + 53, &out->flags, 1, &flags))
		return false;
	return trace_id && span_id;
}

static __always_inline __u64 rotate(__u64 x, int by)
{
	return x << by | x >> (64 - by);
}

// random_word returns the next number of a place's own sequence: xoroshiro128++ (https://prng.di.unimi.it/), begun with 128 bits of the kernel's, each
// 32 of which cost as much as all of this. A place is one goroutine's at a time. Never zero, which is no valid ID.
static __always_inline __u64 random_word(__u64 *state)
{
	if (!(state[0] | state[1])) {
		state[0] = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();
		state[1] = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();
	}
	__u64 a = state[0], b = state[1] ^ a, word = rotate(a + state[1], 17) + a;
	state[0] = rotate(a, 49) ^ b ^ b << 21;
	state[1] = rotate(b, 28);
	return word ? word : 1;
}

// sampled decides as the Go SDK does, bit for bit:
// https://github.com/open-telemetry/opentelemetry-go/blob/v1.47.0/sdk/trace/sampling.go
static __always_inline bool sampled(const __u8 *trace_id, const struct trace_parent *parent)
{
	if (parent && sampler.parent_based)
		return parent->flags & FLAG_SAMPLED;
	if (sampler.root == SAMPLER_ALWAYS_ON)
		return true;
	if (sampler.root == SAMPLER_ALWAYS_OFF)
		return false;
	__u64 x;
	__builtin_memcpy(&x, trace_id + 8, sizeof(x));
	return __builtin_bswap64(x) >> 1 < sampler.threshold;
}

// start_span fills an operation's head: its IDs, its parent (NULL: none). False if it is not sampled.
static __always_inline bool start_span(struct any_operation *o, const struct trace_parent *parent)
{
	struct span_head *h = &o->operation.head;
	__u64 *random = o->operation.slot.random, word;

	h->probe = probe_index;
	if (parent) {
		__builtin_memcpy(h->trace_id, parent->trace_id, sizeof(h->trace_id));
		__builtin_memcpy(h->parent_id, parent->span_id, sizeof(h->parent_id));
	} else {
		word = random_word(random);
		__builtin_memcpy(h->trace_id, &word, sizeof(word));
		word = random_word(random);
		__builtin_memcpy(h->trace_id + sizeof(word), &word, sizeof(word));
	}
	word = random_word(random);
	__builtin_memcpy(h->span_id, &word, sizeof(word));
	bool yes = sampled(h->trace_id, parent);
	h->trace_flags = (yes ? FLAG_SAMPLED : 0) | (parent ? parent->flags & FLAG_RANDOM : 0);
	return yes;
}
