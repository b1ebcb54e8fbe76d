// Command copies calls methods of database/sql in places of which a profile makes copies. It is never run.
package main

import (
	"context"
	"database/sql"
	"os"
)

var ctx = context.Background()

func main() {
	db, err := sql.Open(os.Args[1], "")
	if err != nil {
		os.Exit(1)
	}
	both(db)
	looped(db)
	direct(db)
}

//go:noinline
func direct(db *sql.DB) { db.ExecContext(ctx, "direct") }

// both has a call of a connection and one of a transaction.
//
//go:noinline
func both(db *sql.DB) {
	conn, _ := db.Conn(ctx)
	conn.QueryContext(ctx, "connection")
	tx, _ := db.BeginTx(ctx, nil)
	tx.QueryContext(ctx, "transaction")
}

// looped calls from the body of a loop, which is a function of its own.
func looped(db *sql.DB) {
	for query := range queries {
		db.QueryContext(ctx, query)
	}
}

//go:noinline
func queries(yield func(string) bool) { _ = yield("one") && yield("two") }
