// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// A call of database/sql on the kernel side: its event, its state, and what is known of the binary.
#pragma once

#include "context.h"
#include "point.h"
#include "text.h"
#include "values.h"

// The methods that calls are made by, in the order of the sites in probe.go.
enum sql_call {
	DB_QUERY, DB_EXEC, DB_PREPARE, DB_PING, DB_BEGIN,
	CONN_QUERY, CONN_EXEC, CONN_PREPARE, CONN_PING, CONN_BEGIN,
	TX_QUERY, TX_EXEC, TX_PREPARE, TX_COMMIT, TX_ROLLBACK,
	STMT_QUERY, STMT_EXEC,
	SQL_CALLS,
};
const enum sql_call *unused_call __attribute__((unused));

#define SQL_METHODS 5 // of each receiver but *Stmt: the sites behind these are those of copies of them, in the same order, repeatedly

#define QUERY_MAX 2048 // bytes of a query that are kept
#define DSN_MAX 320
#define HOST_MAX 128
#define DATABASE_MAX 64
#define MESSAGE_MAX 256
#define CODE_MAX 16
#define STATE_MAX 512 // of a tracestate
_Static_assert(QUERY_MAX + DSN_MAX + MESSAGE_MAX + CODE_MAX + STATE_MAX <= TEXT_SIZE, "the text has no room for all of its pieces");
_Static_assert(HOST_MAX + DATABASE_MAX <= DSN_MAX, "a driver has the one or the other");

#define MAX_WRAPPED 8 // values that errors and drivers may be wrapped in, the innermost included
#define MAX_NESTED 63

// What user space must know.
enum sql_limits { SQL_QUERY_MAX = QUERY_MAX, SQL_DSN_MAX = DSN_MAX };
const enum sql_limits *unused_limits __attribute__((unused));

struct sql_event {
	struct span_head head;
	__u64 driver_type; // of the innermost connector or driver that is known of: link-time address of its descriptor
	__u64 error_types[MAX_WRAPPED]; // of the error and of what it wraps, outermost first; 0: no more
	__s64 error_number; // the driver's
	__u64 query_length; // bytes of the whole query
	__u16 port;
	__u8 call; // enum sql_call
	__u8 numbered; // error_number counts
	struct span_text trace_state, host, database, dsn, query, message, code;
	struct text_area text; // last: only what is used goes out
};
const struct sql_event *unused __attribute__((unused)); // for bpf2go

struct sql_operation {
	struct operation_slot slot;
	struct sql_event event;
	struct sql_work {
		__u64 depth; // of the stack where it was called, bytes
		__u32 nested; // calls that it has made of database/sql itself, and that are under way
		__u32 attempt; // in a copy: what it was called with, in short
		__u64 nested_ping; // bit i: whether the i-th of them from within is a ping
		struct go_iface value; // the next error, connector or driver to be looked at
		struct trace_parent parent;
	} work;
};
_Static_assert(sizeof(struct sql_operation) <= OPERATION_SIZE, "a call has no room among the operations");

volatile const __s64 db_connector;
volatile const __s64 conn_db, tx_db, tx_ctx, tx_done, tx_closemu, stmt_db, stmt_query; // ABSENT: the program has no such thing
volatile const struct known_values known_connectors, known_errors;

static __always_inline struct sql_operation *find_call(struct span_key *key)
{
	return (struct sql_operation *)find_operation(key);
}

static __always_inline struct sql_operation *call_at(__u32 place)
{
	return (struct sql_operation *)operation_at(place);
}

static __always_inline bool is_ping(__u8 call)
{
	return call == DB_PING || call == CONN_PING;
}

// retries says whether a call makes its attempts by way of (*DB).retry and returns what that returns.
static __always_inline bool retries(__u8 call)
{
	return call < DB_PING || call == DB_BEGIN || call >= STMT_QUERY;
}
