// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// What the kernel side shares: the one ring buffer, the counters of what was lost, the identity of the target.
#pragma once

#include "regs.h"

// The head of every event. Times are CLOCK_BOOTTIME nanoseconds.
struct span_head {
	__u32 target;
	__u32 probe; // index in probes/all
	__u64 start, end;
	__u8 trace_id[16];
	__u8 span_id[8];
	__u8 parent_id[8]; // zero: a root span
	__u8 trace_flags; // W3C
	__u8 remote_parent;
	__u8 pad[6];
};

// Why an operation has no span, or a span lacks something.
enum loss {
	LOSS_RING_FULL, // the reader was too slow: a span is lost
	LOSS_MAP_FULL, // too many operations in flight: a span is lost
	LOSS_READ, // memory of the target was not readable: a span is lost
	LOSS_UNSUPPORTED, // an operation of a kind that is not traced (HTTP/2 without its probe)
	LOSS_UNSAMPLED, // not lost: the sampler said no
	LOSS_TRUNCATED, // text was cut
	LOSS_HEADERS, // a header map too large to search through
	// Trace context that was not handed on:
	LOSS_INJECT_NO_ROOM, // no room in the target's buffer
	LOSS_INJECT_SHARED, // calls at the same time share one header map: which is which cannot be told
	LOSS_INJECT_WRITER, // the target writes by other means than expected
	LOSS_INJECT_FAULT, // memory of the target was not writable
	LOSS_INJECT_PREEMPTED, // the goroutine was preempted where it must not be
	LOSS_COUNT,
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 22); // bytes, set at load
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LOSS_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} losses SEC(".maps");

volatile const __u32 probe_index;
volatile const __u8 has_attach_cookie;

static __always_inline void count_loss(enum loss why)
{
	__u32 k = why;
	__u64 *n = bpf_map_lookup_elem(&losses, &k);
	if (n)
		(*n)++;
}

// A page of the target that holds addr, where something was to be read, is not present. An event of its own, for user space to fetch it.
struct absent_page {
	__u32 target, probe; // ABSENT_PAGE
	__u64 addr;
};

enum event_kind { ABSENT_PAGE = 1 << 30 };

__noinline int report_absent(__u32 target, __u64 addr)
{
	struct absent_page event = { .target = target, .probe = ABSENT_PAGE, .addr = addr };

	return bpf_ringbuf_output(&events, &event, sizeof(event), BPF_RB_NO_WAKEUP); // it will be asked for again
}

// target_id names the traced process: the low half of the attach cookie (the high half is the number of the point), or below
// kernel 5.15 its process ID.
static __always_inline __u32 target_id(struct pt_regs *ctx)
{
	if (has_attach_cookie)
		return bpf_get_attach_cookie(ctx);
	return bpf_get_current_pid_tgid() >> 32;
}

// emit hands an event to user space. A wakeup costs more than the event: the reader comes by itself.
static __always_inline void emit(void *event, __u64 size)
{
	if (bpf_ringbuf_output(&events, event, size, BPF_RB_NO_WAKEUP))
		count_loss(LOSS_RING_FULL);
}
