//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// database/sql: one event per call that reaches for the database, whatever the driver does for it.

#include "begin.h"
#include "end.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

volatile const struct points call_points, db_return_points, conn_return_points, tx_return_points;

// Where a call begins; its point's site is its enum sql_call. 1: receiver, and then
// of Query, Exec and Prepare of *DB, *Conn and *Tx:  (ctx context.Context, query string, …) 2–3: ctx, 4–5: query
// of those of *Stmt, of Ping and Begin:              (ctx context.Context, …) 2–3: ctx
// func (tx *Tx) rollback(discardConn bool) error     2: discardConn
SEC("uprobe/call")
int call(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &call_points);

	if (p)
		begin_call(ctx, p);
	return 0;
}

// Where func (db *DB) retry(fn func(strategy connReuseStrategy) error) error returns, which is the first site, or a method of
// *DB or *Stmt.
SEC("uprobe/db_return")
int db_return(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &db_return_points);

	if (p)
		end_call(ctx, p, p->site == 0);
	return 0;
}

// Where a method of *Conn returns.
SEC("uprobe/conn_return")
int conn_return(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &conn_return_points);

	if (p)
		end_call(ctx, p, false);
	return 0;
}

// Where a method of *Tx returns.
SEC("uprobe/tx_return")
int tx_return(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &tx_return_points);

	if (p)
		end_call(ctx, p, false);
	return 0;
}
