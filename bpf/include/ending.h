// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Whether the agent has ended without letting go of its targets.
#pragma once

#include "regs.h"

// 1: no header is begun any more.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} agent_ended SEC(".maps");

static __always_inline bool agent_has_ended(void)
{
	__u32 zero = 0, *ended = bpf_map_lookup_elem(&agent_ended, &zero);

	return !ended || *(volatile __u32 *)ended;
}
