//go:build ignore
// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// database/sql: one event per call that reaches for the database, whatever the driver does for it.

#include "begin.h"
#include "end.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

volatile const struct points db_call_points, conn_call_points, tx_call_points, stmt_call_points;
volatile const struct points db_return_points, conn_return_points, tx_return_points;

// Where a method begins. 1: receiver, and then
// of Query, Exec and Prepare of *DB, *Conn and *Tx:  (ctx context.Context, query string, …) 2–3: ctx, 4–5: query
// of those of *Stmt, of Ping and Begin:              (ctx context.Context, …) 2–3: ctx
// A program for each receiver: few programs use all of them, and old kernels tell few points apart.
SEC("uprobe/db_call")
int db_call(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &db_call_points);

	if (p)
		begin_call(ctx, p, DB_QUERY);
	return 0;
}

SEC("uprobe/conn_call")
int conn_call(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &conn_call_points);

	if (p)
		begin_call(ctx, p, CONN_QUERY);
	return 0;
}

SEC("uprobe/tx_call")
int tx_call(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &tx_call_points);

	if (p)
		begin_call(ctx, p, TX_QUERY);
	return 0;
}

SEC("uprobe/stmt_call")
int stmt_call(struct pt_regs *ctx)
{
	const volatile struct point *p = find_point(ctx, &stmt_call_points);

	if (p)
		begin_call(ctx, p, STMT_QUERY);
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
