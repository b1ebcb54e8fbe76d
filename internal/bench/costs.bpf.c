//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// What the functions of the kernel cost that a span is made of, each called many times in a row: caches are warm, so it costs no less in a target.

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define CALLS 1000
#define ENTRY 300 // bytes, as many as a small event

enum cost {
	COST_NOTHING,
	COST_READ_WORD,
	COST_READ_ENTRY,
	COST_LOOKUP,
	COST_MISS,
	COST_CHANGE,
	COST_ARRAY,
	COST_TIME,
	COST_RANDOM,
	COST_SEND,
	COST_CALL,
	COST_SMALLEST,
	COST_COUNT,
};
const enum cost *unused_cost __attribute__((unused));

struct cost_key {
	__u64 a, b;
};

struct cost_entry {
	__u8 bytes[ENTRY];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct cost_key);
	__type(value, __u32);
} cost_table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct cost_entry);
} cost_array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 23); // room for the events of all runs
} cost_events SEC(".maps");

__u64 cost_address; // of ENTRY bytes of the process that runs this
__u64 cost_took[COST_COUNT]; // ns, of all calls
__u64 cost_sink;

// MEASURE runs a statement CALLS times.
#define MEASURE(kind, statement) \
	do { \
		__u64 since = bpf_ktime_get_ns(); \
		_Pragma("clang loop unroll(disable)") for (int i = 0; i < CALLS; i++) { \
			statement; \
		} \
		cost_took[kind] = bpf_ktime_get_ns() - since; \
	} while (0)

// called does next to nothing, in a function of its own.
static __noinline __u64 called(__u64 a, __u64 *b)
{
	*b = a;
	return a ^ cost_address;
}

SEC("raw_tracepoint")
int measure_costs(void *ctx)
{
	struct cost_key here = { .a = 1 }, elsewhere = { .a = 2 }, changed = { .a = 3 };
	__u32 place = 5, *found;
	struct cost_entry *entry = bpf_map_lookup_elem(&cost_array, &place);
	__u64 word = 0;

	if (!entry || bpf_map_update_elem(&cost_table, &here, &place, BPF_ANY))
		return 0;
	MEASURE(COST_NOTHING, *(volatile __u64 *)&cost_sink = i);
	MEASURE(COST_READ_WORD, bpf_probe_read_user(&word, sizeof(word), (void *)cost_address));
	MEASURE(COST_READ_ENTRY, bpf_probe_read_user(entry, sizeof(*entry), (void *)cost_address));
	MEASURE(COST_LOOKUP, found = bpf_map_lookup_elem(&cost_table, &here); if (found) cost_sink = *found);
	MEASURE(COST_MISS, found = bpf_map_lookup_elem(&cost_table, &elsewhere); if (found) cost_sink = *found);
	MEASURE(COST_CHANGE, bpf_map_update_elem(&cost_table, &changed, &place, BPF_NOEXIST); bpf_map_delete_elem(&cost_table, &changed));
	MEASURE(COST_ARRAY, struct cost_entry *e = bpf_map_lookup_elem(&cost_array, &place); if (e) *(volatile __u8 *)e->bytes = 1);
	MEASURE(COST_TIME, *(volatile __u64 *)&cost_sink = bpf_ktime_get_boot_ns());
	MEASURE(COST_RANDOM, *(volatile __u64 *)&cost_sink = bpf_get_prandom_u32());
	MEASURE(COST_SEND, bpf_ringbuf_output(&cost_events, entry, sizeof(*entry), BPF_RB_NO_WAKEUP));
	MEASURE(COST_CALL, *(volatile __u64 *)&cost_sink = called(i, &word));
	MEASURE(COST_SMALLEST, *(volatile __u64 *)&cost_sink = bpf_get_current_pid_tgid());
	return 0;
}
