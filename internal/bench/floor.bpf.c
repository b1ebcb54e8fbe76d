//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// What nothing can be cheaper than: a probe that does nothing; and the least that a span can be, of which nobody knows what it is of.

#include "regs.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("uprobe")
int nothing(struct pt_regs *ctx)
{
	return 0;
}

// A span without a name: no byte of the target is read.
struct bare_span {
	__u64 start, end;
	__u8 trace_id[16], span_id[8], parent_id[8], flags[8];
};

#define BARE_SPANS 4096

// Where spans are kept that are under way: by a few bits of the goroutine's address. An agent must tell goroutines apart that have the same ones;
// nothing can be cheaper than not to.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BARE_SPANS);
	__type(key, __u32);
	__type(value, struct bare_span);
} bare_spans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 22);
} bare_events SEC(".maps");

volatile const __u8 ends_elsewhere; // in another goroutine: all spans share one place

static __always_inline struct bare_span *bare_span(struct pt_regs *ctx)
{
	__u32 i = ends_elsewhere ? 0 : (GO_G(ctx) >> 6) % BARE_SPANS;

	return bpf_map_lookup_elem(&bare_spans, &i);
}

SEC("uprobe")
int bare_begin(struct pt_regs *ctx)
{
	struct bare_span *span = bare_span(ctx);

	if (!span)
		return 0;
	span->start = bpf_ktime_get_boot_ns();
#pragma unroll
	for (int i = 0; i < sizeof(span->trace_id); i += 4)
		*(__u32 *)(span->trace_id + i) = bpf_get_prandom_u32();
#pragma unroll
	for (int i = 0; i < sizeof(span->span_id); i += 4)
		*(__u32 *)(span->span_id + i) = bpf_get_prandom_u32();
	return 0;
}

SEC("uprobe")
int bare_end(struct pt_regs *ctx)
{
	struct bare_span *span = bare_span(ctx);

	if (!span)
		return 0;
	span->end = bpf_ktime_get_boot_ns();
	bpf_ringbuf_output(&bare_events, span, sizeof(*span), BPF_RB_NO_WAKEUP);
	return 0;
}
