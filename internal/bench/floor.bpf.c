//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// What nothing can be cheaper than: a probe that does nothing.

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("uprobe")
int nothing(void *ctx)
{
	return 0;
}
