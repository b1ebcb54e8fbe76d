// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// The beginning of a call: what it is part of, what is asked, of which database.
#pragma once

#include "call.h"

// begin returns the goroutine's entry, cleared for a new call, or NULL if the map is full. c is the one that it has already, or NULL.
static __always_inline struct sql_operation *begin(struct span_key *key, struct sql_operation *c, struct goroutine *g)
{
	c = (struct sql_operation *)enter(key, (struct any_operation *)c);
	if (!c)
		return NULL;
	own_number(key, &c->slot, g->number);
	__builtin_memset(&c->event, 0, __builtin_offsetof(struct sql_event, text.data));
	__builtin_memset(&c->work, 0, sizeof(c->work));
	c->slot.trace_state_len = 0;
	return c;
}

// take_trace_state copies the operation's tracestate to the beginning of the call's text.
static __always_inline void take_trace_state(struct sql_operation *c, struct any_operation *o)
{
	__u64 off = o->operation.slot.trace_state, n = o->operation.slot.trace_state_len;

	barrier_var(off);
	barrier_var(n);
	if (!n || n > STATE_MAX || off > OPERATION_SIZE - STATE_MAX)
		return;
	if (bpf_probe_read_kernel(c->event.text.data, n, (void *)o + off))
		return;
	c->event.trace_state.len = n;
	c->event.text.used = n;
}

// is_copy says whether p is in a copy of the method.
static __always_inline bool is_copy(const volatile struct point *p)
{
	return p->site >= SQL_METHODS; // *Stmt has no copies, and fewer
}

// settles says whether a call ends a transaction. It is given no context and no query.
static __always_inline bool settles(__u8 call)
{
	return call == TX_COMMIT || call == TX_ROLLBACK;
}

// receiver_of returns what a method was called of: the first argument. A copy of Commit or Rollback is known by its call of
// tx.closemu.Lock.
static __always_inline __u64 receiver_of(struct pt_regs *ctx, const volatile struct point *p, __u8 call)
{
	return settles(call) && is_copy(p) ? GO_ARG1(ctx) - tx_closemu : GO_ARG1(ctx);
}

// context_of returns the context that a call was given. That of Commit and Rollback is the transaction's.
static __always_inline struct go_iface context_of(struct pt_regs *ctx, const volatile struct point *p, __u8 call)
{
	struct go_iface given = { .type = GO_ARG2(ctx), .data = GO_ARG3(ctx) };

	if (settles(call))
		return read_iface(receiver_of(ctx, p, call) + tx_ctx);
	return given;
}

static __always_inline __u64 db_of(struct pt_regs *ctx, const volatile struct point *p, __u8 call)
{
	__u64 receiver = receiver_of(ctx, p, call);

	if (call <= DB_BEGIN || (!settles(call) && is_copy(p))) // copies call methods of *DB
		return receiver;
	if (call <= CONN_BEGIN)
		return read_u64(receiver + conn_db);
	if (call <= TX_ROLLBACK)
		return read_u64(receiver + tx_db);
	return read_u64(receiver + stmt_db);
}

// read_query keeps the text of a query. Global, as the functions below: each has a stack of its own, and is verified once.
__noinline int read_query(__u32 place, __u64 ptr, __u64 len, __u64 bias)
{
	struct sql_operation *c = call_at(place);
	struct go_string query = { .ptr = ptr, .len = len };

	if (!c)
		return 0;
	c->event.query_length = len;
	c->event.query = append_literal(&c->event.text, query, QUERY_MAX, bias);
	return 1;
}

__noinline int connector_index(__u64 type)
{
	return value_index(&known_connectors, type);
}

// look_at_connector keeps what a connector or a driver says of its database; 0 if it was the innermost.
__noinline int look_at_connector(__u32 place, __u64 bias)
{
	struct sql_operation *c = call_at(place);

	if (!c)
		return 0;
	__u64 type = dynamic_type(c->event.head.target, c->work.value.type, bias), data = c->work.value.data, number;
	if (!type)
		return 0;
	c->event.driver_type = type;
	__u32 i = connector_index(type);
	if (i >= MAX_VALUES)
		return 0;
	const volatile struct known_value *v = &known_connectors.at[i];
	struct text_area *t = &c->event.text;
	if (!c->event.host.len)
		c->event.host = append(t, value_string(v, 0, data), HOST_MAX);
	if (!c->event.database.len)
		c->event.database = append(t, value_string(v, 1, data), DATABASE_MAX);
	if (!c->event.dsn.len)
		c->event.dsn = append(t, value_string(v, 2, data), DSN_MAX);
	number = value_number(v, data);
	if (number)
		c->event.port = number;
	__u64 inner = address_at(&v->inner, data);
	if (inner)
		c->work.value = read_iface(inner);
	return inner != 0;
}

static __always_inline void read_connector(struct sql_operation *c, __u64 db, __u64 bias)
{
	c->work.value = read_iface(db + db_connector);
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_WRAPPED; i++) {
		if (!look_at_connector(c->slot.place, bias))
			return;
	}
}

static __always_inline void read_text(struct pt_regs *ctx, const volatile struct point *p, struct sql_operation *c, __u8 call, __u64 bias)
{
	struct go_string query = { .ptr = GO_ARG4(ctx), .len = GO_ARG5(ctx) };
	struct go_string sixth = { .ptr = GO_ARG6(ctx), .len = GO_ARG7(ctx) }, eighth = { .ptr = GO_ARG8(ctx), .len = GO_ARG9(ctx) };

	barrier_var(sixth.ptr); // or the compiler chooses among addresses in ctx, which the verifier forbids
	barrier_var(sixth.len);
	barrier_var(eighth.ptr);
	barrier_var(eighth.len);
	switch (call) {
	case DB_PING: case DB_BEGIN: case CONN_PING: case CONN_BEGIN: case TX_COMMIT: case TX_ROLLBACK:
		return;
	case STMT_QUERY: case STMT_EXEC:
		query = read_string_header(GO_ARG1(ctx) + stmt_query);
		break;
	case CONN_EXEC: case TX_EXEC:
		if (is_copy(p))
			query = sixth;
		break;
	case CONN_QUERY: case TX_QUERY: case CONN_PREPARE: case TX_PREPARE:
		if (is_copy(p))
			query = eighth;
	}
	read_query(c->slot.place, query.ptr, query.len, bias);
}

// note_nested counts a call that the goroutine's call has led to: a driver may use database/sql itself. The outermost has the span.
static __always_inline void note_nested(struct sql_operation *c, __u8 call)
{
	if (c->work.nested < MAX_NESTED)
		c->work.nested++;
	c->work.nested_ping = c->work.nested_ping << 1 | is_ping(call);
}

// begin_call starts a span. The method is the one that p's site is from the receiver's first. In a copy of the method the place is a call that it makes:
// of *DB, (db *DB) query, exec, prepare or begin(ctx context.Context, query string, …); of *Conn and *Tx,
// (db *DB) queryDC(ctx, txctx context.Context, dc *driverConn, releaseConn func(error), query string, …),
// (db *DB) execDC(ctx context.Context, dc *driverConn, release func(error), query string, …),
// (db *DB) prepareDC(ctx context.Context, dc *driverConn, release func(error), cg stmtConnGrabber, query string),
// and Lock of tx.closemu: https://github.com/golang/go/blob/go1.26.0/src/database/sql/sql.go
static __always_inline void begin_call(struct pt_regs *ctx, const volatile struct point *p, __u8 first)
{
	struct span_key key = caller_key(ctx, ROLE_DATABASE);
	__u64 bias = load_bias(ctx, p);
	__u8 call = first + p->site % SQL_METHODS;
	struct goroutine g;

	if (!read_goroutine(ctx, &g)) {
		count_loss(LOSS_READ);
		return;
	}
	// A deferred Rollback after Commit does nothing.
	if (call == TX_ROLLBACK && !is_copy(p) && (__u32)read_u64(GO_ARG1(ctx) + tx_done))
		return;
	struct sql_operation *c = find_call(&key);
	__u32 attempt = GO_ARG3(ctx) + GO_ARG4(ctx); // the context and the query
	// (*DB).retry has what a copy gives to it done again.
	if (c && first == DB_QUERY && is_copy(p) && c->slot.state != OPERATION_IDLE && c->slot.goroutine == g.number && c->work.depth == g.depth &&
	    c->event.call == call && c->work.attempt == attempt)
		return;
	// What is left of a call that panicked lies no less deep.
	if (c && c->slot.state != OPERATION_IDLE && c->slot.goroutine == g.number && g.depth > c->work.depth) {
		note_nested(c, call);
		return;
	}
	struct any_operation *o = find_by_context(key.target, context_of(ctx, p, call), bias, serving(key.target, key.goroutine));
	if (!o)
		o = find_by_goroutine(key.target, &g);
	c = begin(&key, c, &g);
	if (!c)
		return;
	c->event.head.target = key.target;
	c->event.head.start = bpf_ktime_get_boot_ns();
	c->event.call = call;
	c->work.depth = g.depth;
	if (first == DB_QUERY)
		c->work.attempt = attempt;
	if (o)
		parent_of(o, &c->work.parent);
	if (!start_span((struct any_operation *)c, o ? &c->work.parent : NULL)) {
		c->slot.state = OPERATION_UNSAMPLED;
		return;
	}
	c->slot.state = OPERATION_SAMPLED;
	if (o)
		take_trace_state(c, o);
	read_connector(c, db_of(ctx, p, call), bias);
	read_text(ctx, p, c, call, bias);
}
