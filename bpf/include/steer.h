// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Trace context without writing a byte of the target's memory: at a place where the target writes a request's header, its
// goroutine is made to call the function that does so a few times more, with pieces of a header that lie in memory already.
// docs/injection.md says why that is safe.
//
// A read of the target's memory may fail at any moment, where the kernel moves a page. So whose a header is, and whether it is begun, is known without one:
// a probe that did nothing in the middle of a header would let the code go on with the results of a piece. A goroutine is known by the address of its g.
#pragma once

#include "context.h"
#include "ending.h"
#include "inject.h"
#include "point.h"

#define STEER_PIECES 64
#define STEER_TEXT 128 // bytes, a power of two
#define TEXT_PIECES 8
#define PIECE_MAX 64 // bytes that are compared at once
#define STEER_NOWHERE (~0U)

// What the pieces are of. HTTP/1 has lines, HTTP/2 fields: literals without indexing
// (https://www.rfc-editor.org/rfc/rfc7541#section-6.2.2).
enum steer_text {
	TEXT_LINE_NAME, // "Traceparent: "
	TEXT_FIELD_NAME, // "\x00\x0btraceparent\x37"
	TEXT_VERSION, // "00-"
	TEXT_DASH, // "-"
	TEXT_LINE_END, // "-00\r\n", and so for each value of the flags
	TEXT_FIELD_END = TEXT_LINE_END + 4, // "-00"
	TEXT_STATE_LINE = TEXT_FIELD_END + 4, // "Tracestate: "
	TEXT_STATE_FIELD, // "\x00\x0atracestate"
	TEXT_END, // "\r\n"
	TEXT_COUNT,
};

enum piece_form { PIECE_ADDR_BITS = 48 };
#define PIECE_ADDR ((1ULL << PIECE_ADDR_BITS) - 1)

// Pieces in read-only memory: link-time addresses, and lengths in the upper bits.
struct text_pieces {
	__u64 n;
	__u64 at[TEXT_PIECES];
};

struct steer_pieces {
	struct text_pieces texts[TEXT_COUNT];
	__u64 hex[256]; // two digits each; 0: they are to be had one by one only
	__u64 byte[256]; // one byte each
};

volatile const struct steer_pieces pieces;

// What is known of a header that a goroutine is about to write. It may write none in the end, and leave this behind.
struct steer_note {
	__u64 number; // of the goroutine: its g may be another's when it has ended; 0: not known
	__u64 depth; // of the stack; 0: not known
	__u64 sp; // the stack pointer, if the stack was not moved since
	__u64 owner; // the call that the header belongs to: its ref_to
	__u64 header; // the map that the call was announced with
	__u64 writer[2]; // what it is written to: arguments of the function that writes
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10000);
	__type(key, struct span_key);
	__type(value, struct steer_note);
} steer_notes SEC(".maps");

enum steer_state {
	STEER_NONE,
	STEER_GOING, // the goroutine is writing pieces
};

// What a goroutine is made to do.
struct steering {
	__u32 state; // first: user space looks at it
	__u32 rerun; // the next call at the place is ours
	__u64 since; // boot time of the last step
	__u64 within; // the stack pointer where another header is written within this one, 0: none is
	struct steer_note note;
	__u64 call, ret, back; // the call, where it returns to, where the program sits behind that
	struct go_string own; // what the target itself was about to write
	__u64 results[5]; // of a call that was followed up by others
	__u32 content; // those are a buffer's content, which may move
	__u32 blanked; // the tracestate was gone when its turn came
	__u32 next, count; // pieces
	__u32 length; // of the text
	__u32 pos; // in the text
	__u32 state_at, state_length; // before which piece the incoming request's tracestate goes
	__u64 blank; // what stands for each byte of it, once its length is written, if it is there no more; 0: nothing need
	__u32 id_at, id_end; // from which piece to which its trace ID may stand for them
	__u64 pieces[STEER_PIECES];
	__u8 text[STEER_TEXT];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1); // set at load
	__type(key, struct span_key);
	__type(value, struct steering);
} steerings SEC(".maps");

// A new entry's content: too large for the stack.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steering);
} steering_zero SEC(".maps");

// Targets that are about to be let go: no header is begun any more.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u32);
} draining SEC(".maps");

static __always_inline struct steering *find_steering(struct span_key *key)
{
	return bpf_map_lookup_elem(&steerings, key);
}

static __always_inline void stop_steering(struct span_key *key)
{
	bpf_map_delete_elem(&steerings, key);
}

// is_number says whether two numbers may be of the same goroutine.
static __always_inline bool is_number(__u64 a, __u64 b)
{
	return !a || !b || a == b;
}

// cleared_steering returns an entry for a new header, NULL if there are too many, or if the goroutine is within another header: what that is written to
// may make requests itself. Both are counted.
static __always_inline struct steering *cleared_steering(struct span_key *key, struct goroutine *g)
{
	__u32 zero = 0;
	struct steering *cleared = bpf_map_lookup_elem(&steering_zero, &zero), *s = find_steering(key);

	if (s && s->state == STEER_GOING && (!g->number || (is_number(s->note.number, g->number) && s->note.depth < g->depth))) {
		count_loss(LOSS_INJECT_WRITER);
		return NULL;
	}
	if (!cleared || bpf_map_update_elem(&steerings, key, cleared, BPF_ANY)) {
		count_loss(LOSS_INJECT_NO_ROOM);
		return NULL;
	}
	return find_steering(key);
}

// new_steering returns an entry for the header that a note is of, which is then no more. NULL if it is another goroutine's, or there can be none.
static __always_inline struct steering *new_steering(struct pt_regs *ctx, struct span_key *key, struct steer_note *note)
{
	struct goroutine g = try_goroutine(ctx);
	struct steering *s = is_number(note->number, g.number) ? cleared_steering(key, &g) : NULL;

	if (s) {
		s->note = *note;
		if (g.number) {
			s->note.number = g.number;
			s->note.depth = g.depth;
		}
		s->note.sp = REG_SP(ctx);
		s->since = bpf_ktime_get_boot_ns();
		s->state_at = STEER_NOWHERE;
	}
	bpf_map_delete_elem(&steer_notes, key);
	return s;
}

// may_begin makes a header count as begun, unless the target is being let go: user space says so first, waits a moment, and
// then looks for what is begun. Or the agent ends, and the kernel waits a moment (ending.bpf.c).
static __always_inline bool may_begin(struct steering *s, __u32 target)
{
	*(volatile __u32 *)&s->state = STEER_GOING;
	if (!bpf_map_lookup_elem(&draining, &target) && !agent_has_ended())
		return true;
	s->state = STEER_NONE;
	return false;
}

// add_piece adds a piece, given by its link-time address.
static __always_inline void add_piece(struct steering *s, __u64 piece, __u64 bias)
{
	__u64 i = s->count;

	barrier_var(i); // what is compared is what is used
	if (i < STEER_PIECES)
		s->pieces[i] = piece + bias;
	s->count = i + 1;
}

static __always_inline void add_text(struct steering *s, __u32 text, __u64 bias)
{
	if (text >= TEXT_COUNT)
		return;
#pragma clang loop unroll(disable)
	for (int i = 0; i < TEXT_PIECES; i++) {
		if (i >= pieces.texts[text].n)
			return;
		add_piece(s, pieces.texts[text].at[i], bias);
	}
}

// digit returns the piece of a hexadecimal digit.
static __always_inline __u64 digit(__u8 value)
{
	__u32 c = hex_char(value);

	barrier_var(c); // or the compiler leaves out what the verifier wants to see
	return pieces.byte[c & 0xff];
}

static __always_inline void add_hex(struct steering *s, const __u8 *bytes, const int size, __u64 bias)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < size; i++) {
		__u64 pair = pieces.hex[bytes[i]];
		if (pair && !is_due(faults.pair)) {
			add_piece(s, pair, bias);
			continue;
		}
		add_piece(s, digit(bytes[i] >> 4), bias);
		add_piece(s, digit(bytes[i] & 15), bias);
	}
}

// add_parent adds the pieces of a traceparent with what is written before and behind it.
static __always_inline void add_parent(struct steering *s, const struct span_head *head, __u32 name, __u32 end, __u64 bias)
{
	add_text(s, name, bias);
	s->id_at = s->count;
	add_text(s, TEXT_VERSION, bias);
	add_hex(s, head->trace_id, sizeof(head->trace_id), bias);
	add_text(s, TEXT_DASH, bias);
	s->id_end = s->count;
	add_hex(s, head->span_id, sizeof(head->span_id), bias);
	add_text(s, end + (head->trace_flags & 3), bias);
}

static __always_inline struct go_string piece_at(struct steering *s, __u32 i)
{
	struct go_string piece = {};
	__u64 packed = i < STEER_PIECES ? s->pieces[i] : 0;

	piece.ptr = packed & PIECE_ADDR;
	piece.len = packed >> PIECE_ADDR_BITS;
	return piece;
}

// holds says whether len bytes of the target at addr are the text from pos on. Global: the verifier checks it once.
__noinline int holds(__u32 target, __u64 goroutine, __u64 addr, __u64 span)
{
	struct span_key key = { .target = target, .role = ROLE_CLIENT, .goroutine = goroutine };
	struct steering *s = find_steering(&key);
	__u64 n = span & 0xffff, pos = span >> 16;
	__u8 bytes[PIECE_MAX];

	if (!s || !n || n > PIECE_MAX || pos + n > s->length)
		return 0;
	barrier_var(n);
	n = between_1_and(PIECE_MAX, n);
	if (bpf_probe_read_user(bytes, n, (void *)addr))
		return 0;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < PIECE_MAX; i++) {
		if (i >= n)
			break;
		if (bytes[i] != s->text[(pos + i) & (STEER_TEXT - 1)])
			return 0;
	}
	return 1;
}

// all_hold says whether the pieces, byte by byte in the target's memory, are the text.
static __always_inline bool all_hold(struct span_key *key, struct steering *s)
{
	__u64 pos = 0;

	if (s->count > STEER_PIECES)
		return false;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < STEER_PIECES; i++) {
		if (i >= s->count)
			break;
		struct go_string piece = piece_at(s, i);
		if (!holds(key->target, key->goroutine, piece.ptr, piece.len | pos << 16))
			return false;
		pos += piece.len;
	}
	return pos && pos == s->length;
}

// take_piece takes the next piece; false if there is none.
static __always_inline bool take_piece(struct steering *s, struct go_string *piece)
{
	__u32 i = s->next;

	if (i >= s->count)
		return false;
	*piece = piece_at(s, i);
	s->next = i + 1;
	s->pos += piece->len;
	s->since = bpf_ktime_get_boot_ns();
	return piece->len != 0;
}

// at_place says whether the goroutine is where the steering left it: the very instruction, no more and no less of its stack in
// use. Another agent's program may have sent it elsewhere a moment ago. If that cannot be read, or could not before, the stack was moved.
static __always_inline bool at_place(struct pt_regs *ctx, struct steering *s, __u64 ip)
{
	__u64 high;

	if (REG_IP(ctx) != ip)
		return false;
	if (REG_SP(ctx) == s->note.sp && s->note.depth && !faults.read)
		return true;
	if (is_due(faults.read) || bpf_probe_read_user(&high, sizeof(high), (void *)(GO_G(ctx) + g_stack_hi)))
		return true;
	if (s->note.depth && s->note.depth != high - REG_SP(ctx))
		return false;
	s->note.depth = high - REG_SP(ctx);
	s->note.sp = REG_SP(ctx);
	return true;
}

// may_go_on says whether a call comes back where one made before has just done so. The word that that left is there, even if it cannot be read at this
// moment.
static __always_inline bool may_go_on(struct pt_regs *ctx, __u64 low, __u64 high)
{
	return is_due(faults.read) || call_comes_back(ctx, low, high) != COMES_BACK_NOT;
}
