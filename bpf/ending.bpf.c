//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The agent's own end, if it is killed: the kernel then takes all probes away, whatever the targets are at. A header that is being steered into a
// request must be finished first.

#include "ending.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define LAST_BREATH 5000000 // ns: a header takes some 20 µs
#define LOOKS (1 << 20) // at the clock

// The agent's process by its ID in a PID namespace, and that namespace by its file's device, as the kernel writes it, and inode.
volatile const __u64 namespace_device, namespace_inode;
volatile const __u32 agent;

static long is_over(__u64 i, void *until)
{
	return bpf_ktime_get_boot_ns() >= *(__u64 *)until;
}

// A thread exits, which its process's files will outlive until all threads have: links to probes among them. The main thread of a Go
// program exits only with the others.
SEC("raw_tracepoint/sched_process_exit")
int agent_ends(void *ctx)
{
	struct bpf_pidns_info id = {};
	__u64 until = bpf_ktime_get_boot_ns() + LAST_BREATH;
	__u32 zero = 0, *ended;

	if (bpf_get_ns_current_pid_tgid(namespace_device, namespace_inode, &id, sizeof(id)) || id.tgid != agent || id.pid != agent)
		return 0;
	ended = bpf_map_lookup_elem(&agent_ended, &zero);
	if (!ended)
		return 0;
	*ended = 1;
	bpf_loop(LOOKS, is_over, &until, 0);
	return 0;
}
