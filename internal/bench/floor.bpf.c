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

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct bare_span);
} bare_spans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 22);
} bare_events SEC(".maps");

volatile const __u8 ends_elsewhere; // in another goroutine: all spans share one key, which stays

static __always_inline __u64 bare_key(struct pt_regs *ctx)
{
	return ends_elsewhere ? 1 : GO_G(ctx);
}

SEC("uprobe")
int bare_begin(struct pt_regs *ctx)
{
	struct bare_span span = { .start = bpf_ktime_get_boot_ns() };
	__u64 key = bare_key(ctx);

#pragma unroll
	for (int i = 0; i < sizeof(span.trace_id); i += 4)
		*(__u32 *)(span.trace_id + i) = bpf_get_prandom_u32();
#pragma unroll
	for (int i = 0; i < sizeof(span.span_id); i += 4)
		*(__u32 *)(span.span_id + i) = bpf_get_prandom_u32();
	bpf_map_update_elem(&bare_spans, &key, &span, BPF_ANY);
	return 0;
}

SEC("uprobe")
int bare_end(struct pt_regs *ctx)
{
	__u64 key = bare_key(ctx);
	struct bare_span *span = bpf_map_lookup_elem(&bare_spans, &key);

	if (!span)
		return 0;
	span->end = bpf_ktime_get_boot_ns();
	bpf_ringbuf_output(&bare_events, span, sizeof(*span), BPF_RB_NO_WAKEUP);
	if (!ends_elsewhere)
		bpf_map_delete_elem(&bare_spans, &key);
	return 0;
}
