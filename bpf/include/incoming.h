// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// What the request that a call is a part of came with, as it still lies in the target's memory: its trace ID and its tracestate are pieces
// of what the call's own request shall carry. Each library says where they are.
#pragma once

#include "steer.h"
#include "tracestate.h"

#define CARRIED_LENGTH 36 // of "00-", the trace ID and "-"

// carried_state is the address of the incoming tracestate if that is one line and the call's; else 0. carried_id is that of the
// incoming traceparent if it has the text of the writer's steering from pos on, from its version to the trace ID, else 0. owner is of the
// steering's note. No parameter that one of them does not use: the compiler would pass what lies there, and the verifier refuses that. Global, for a stack of their own.
__u64 carried_state(__u64 owner);
__u64 carried_id(__u32 target, __u64 owner, __u64 writer, __u64 pos);

// is_state says whether a line of the target is a text of n bytes, which has room for the longest.
static __always_inline bool is_state(struct go_string line, const __u8 *text, __u64 n)
{
	__u8 bytes[64];

	if (line.len != n || line.len > TRACE_STATE_MAX)
		return false;
#pragma clang loop unroll(disable)
	for (__u64 off = 0; off < TRACE_STATE_MAX; off += sizeof(bytes)) {
		if (off >= line.len)
			break;
		__u64 n = line.len - off;
		if (n > sizeof(bytes))
			n = sizeof(bytes);
		barrier_var(n);
		n = between_1_and(64, n);
		if (bpf_probe_read_user(bytes, n, (void *)(line.ptr + off)))
			return false;
#pragma clang loop unroll(disable)
		for (__u64 i = 0; i < sizeof(bytes); i++) {
			if (i >= n)
				break;
			if (bytes[i] != text[(off + i) & (TRACE_STATE_MAX - 1)])
				return false;
		}
	}
	return true;
}

// next_piece takes what the goroutine shall write next; false if there is nothing more. What the incoming request has is looked for
// at the very moment.
static __always_inline bool next_piece(struct span_key *key, struct steering *s, struct go_string *piece)
{
	if (s->next == s->state_at && s->state_length) {
		s->since = bpf_ktime_get_boot_ns();
		piece->ptr = s->blanked ? 0 : carried_state(s->note.owner);
		piece->len = s->state_length;
		if (piece->ptr || !s->blank)
			s->state_at = STEER_NOWHERE;
		if (piece->ptr)
			return true;
		if (s->blank) { // its length is written: commas, a list without members
			s->blanked = 1;
			s->state_length--;
			piece->ptr = s->blank & PIECE_ADDR;
			piece->len = 1;
			return true;
		}
	}
	if (s->next == s->id_at) {
		s->id_at = STEER_NOWHERE;
		piece->ptr = carried_id(key->target, s->note.owner, key->goroutine, s->pos);
		piece->len = CARRIED_LENGTH;
		if (piece->ptr) {
			s->next = s->id_end;
			s->pos += CARRIED_LENGTH;
			s->since = bpf_ktime_get_boot_ns();
			return true;
		}
	}
	return take_piece(s, piece);
}
