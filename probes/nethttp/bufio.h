// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// A bufio.Writer of the target: https://github.com/golang/go/blob/go1.26.0/src/bufio/bufio.go
#pragma once

#include "client.h"

struct bufio {
	struct go_slice buf;
	__u64 n; // bytes of it that are in use
};

// open_bufio reads a writer that shall take size bytes more. False, and counted, if it cannot.
static __always_inline bool open_bufio(struct bufio *b, __u64 writer, __u64 size)
{
	b->n = read_u64(writer + bufio_n);
	if (bpf_probe_read_user(&b->buf, sizeof(b->buf), (void *)(writer + bufio_buf)) || read_u64(writer + bufio_err)) {
		count_loss(LOSS_INJECT_FAULT);
		return false;
	}
	if (b->n > b->buf.len || b->buf.len > b->buf.cap || b->buf.len - b->n < size) {
		count_loss(LOSS_INJECT_NO_ROOM);
		return false;
	}
	return true;
}

// advance makes what was written count.
static __always_inline bool advance(enum write_step step, __u64 writer, __u64 n)
{
	return write_user(step, writer + bufio_n, &n, sizeof(n));
}
