package main

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// caller is what a way has: the request's context and a database.
type caller struct {
	ctx    context.Context
	db     *sql.DB
	driver string
}

const (
	selectSong = "SELECT title FROM songs WHERE id = ?"
	insertSong = "INSERT INTO songs (id, title) VALUES (?, ?)"
	updateSong = "UPDATE songs SET title = ? WHERE id = ?"
)

// postgres says whether the driver's parameters are $1, $2, ….
func (c *caller) postgres() bool { return c.driver == "postgres" || c.driver == "pgx" }
func (c *caller) sqlite() bool   { return strings.HasPrefix(c.driver, "sqlite") }

// text writes the parameters as the driver wants them.
func (c *caller) text(query string) string {
	if !c.postgres() {
		return query
	}
	parts := strings.Split(query, "?")
	for i := range parts[1:] {
		parts[i] += "$" + strconv.Itoa(i+1)
	}
	return strings.Join(parts, "")
}

// withContext is what a DB, a Conn and a Tx have in common.
type withContext interface {
	QueryContext(ctx context.Context, query string, args ...interface{}) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...interface{}) *sql.Row
	ExecContext(ctx context.Context, query string, args ...interface{}) (sql.Result, error)
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// withoutContext is what a DB and a Tx have in common.
type withoutContext interface {
	Query(query string, args ...interface{}) (*sql.Rows, error)
	QueryRow(query string, args ...interface{}) *sql.Row
	Exec(query string, args ...interface{}) (sql.Result, error)
	Prepare(query string) (*sql.Stmt, error)
}

// ways are what can be done with a database.
var ways = map[string]func(c *caller) error{
	"setup": setup,

	"db.PingContext": func(c *caller) error { return c.db.PingContext(c.ctx) },
	"db.Ping":        func(c *caller) error { return c.db.Ping() },

	"stmt.QueryContext": withStmt(func(c *caller, s *sql.Stmt) error { return drain(s.QueryContext(c.ctx, 1)) }),
	"stmt.Query":        withStmt(func(c *caller, s *sql.Stmt) error { return drain(s.Query(1)) }),
	"stmt.QueryRowContext": withStmt(func(c *caller, s *sql.Stmt) error {
		return s.QueryRowContext(c.ctx, 1).Scan(new(string))
	}),
	"stmt.QueryRow":    withStmt(func(c *caller, s *sql.Stmt) error { return s.QueryRow(1).Scan(new(string)) }),
	"stmt.ExecContext": withUpdate(func(c *caller, s *sql.Stmt) error { return second(s.ExecContext(c.ctx, "a title", 1)) }),
	"stmt.Exec":        withUpdate(func(c *caller, s *sql.Stmt) error { return second(s.Exec("a title", 1)) }),

	"tx.Commit": withTx(func(c *caller, tx *sql.Tx) error { return nil }),
	"tx.StmtContext": withStmt(inTx(func(c *caller, tx *sql.Tx, s *sql.Stmt) error {
		return drain(tx.StmtContext(c.ctx, s).QueryContext(c.ctx, 1))
	})),
	"tx.Stmt": withStmt(inTx(func(c *caller, tx *sql.Tx, s *sql.Stmt) error { return drain(tx.Stmt(s).Query(1)) })),
	"tx.Rollback": func(c *caller) error {
		tx, err := c.db.Begin()
		if err != nil {
			return err
		}
		return tx.Rollback()
	},
	"conn.PingContext": withConn(func(c *caller, conn *sql.Conn) error { return conn.PingContext(c.ctx) }),
	"conn.BeginTx": withConn(func(c *caller, conn *sql.Conn) error {
		tx, err := conn.BeginTx(c.ctx, nil)
		if err != nil {
			return err
		}
		return tx.Rollback()
	}),
	"re-prepared": withStmt(func(c *caller, s *sql.Stmt) error {
		conn, err := c.db.Conn(c.ctx) // the one that the statement was prepared on
		if err != nil {
			return err
		}
		defer conn.Close()
		return drain(s.QueryContext(c.ctx, 1))
	}),
	"no rows": func(c *caller) error {
		return c.db.QueryRowContext(c.ctx, c.text(selectSong), 12345).Scan(new(string))
	},
	"literals": func(c *caller) error {
		return drain(c.db.QueryContext(c.ctx, "SELECT title FROM songs /* hunter2 */ WHERE title = 'hunter2' AND id IN (1, 2, 3)"))
	},
	"long": func(c *caller) error {
		return drain(c.db.QueryContext(c.ctx, "SELECT title FROM songs WHERE title = '"+strings.Repeat("hunter2 ", 1000)+"'"))
	},
	"goroutine": func(c *caller) error {
		done := make(chan error)
		go func() { done <- drain(c.db.QueryContext(c.ctx, c.text(selectSong), 1)) }()
		return <-done
	},
	"after a panic": func(c *caller) error {
		func() {
			defer func() { recover() }()
			c.db.QueryContext(c.ctx, "SELECT lost FROM panics")
		}()
		return second(c.db.ExecContext(c.ctx, c.text(updateSong), "a title", 1))
	},
	"after goroutines that ended": func(c *caller) error {
		for i := 0; i < 10; i++ {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				c.db.QueryContext(c.ctx, "SELECT lost FROM exits")
			}()
			<-ended
			done := make(chan error)
			go func() {
				done <- deep(1000, func() error { return second(c.db.ExecContext(c.ctx, c.text(updateSong), "a title", 1)) })
			}()
			if err := <-done; err != nil {
				return err
			}
		}
		return nil
	},
	"background": func(c *caller) error {
		return drain(c.db.QueryContext(context.Background(), c.text(selectSong), 1))
	},
}

// deep calls f at a depth of so many calls.
func deep(depth int, f func() error) error {
	if depth == 0 {
		return f()
	}
	return deep(depth-1, f)
}

func init() {
	db := func(f func(c *caller, r withContext) error) func(c *caller) error {
		return func(c *caller) error { return f(c, c.db) }
	}
	for name, f := range contextCalls {
		f := f
		ways["db."+name] = db(f)
		ways["conn."+name] = withConn(func(c *caller, conn *sql.Conn) error { return f(c, conn) })
		ways["tx."+name] = withTx(func(c *caller, tx *sql.Tx) error { return f(c, tx) })
	}
	for name, f := range plainCalls {
		f := f
		ways["db."+name] = func(c *caller) error { return f(c, c.db) }
		ways["tx."+name] = withTx(func(c *caller, tx *sql.Tx) error { return f(c, tx) })
	}
	for name, f := range failing {
		ways[name] = f
	}
}

var contextCalls = map[string]func(c *caller, r withContext) error{
	"QueryContext": func(c *caller, r withContext) error { return drain(r.QueryContext(c.ctx, c.text(selectSong), 1)) },
	"QueryRowContext": func(c *caller, r withContext) error {
		return r.QueryRowContext(c.ctx, c.text(selectSong), 1).Scan(new(string))
	},
	"ExecContext": func(c *caller, r withContext) error {
		return second(r.ExecContext(c.ctx, c.text(updateSong), "a title", 1))
	},
	"PrepareContext": func(c *caller, r withContext) error { return closed(r.PrepareContext(c.ctx, c.text(selectSong))) },
}

var plainCalls = map[string]func(c *caller, r withoutContext) error{
	"Query":    func(c *caller, r withoutContext) error { return drain(r.Query(c.text(selectSong), 1)) },
	"QueryRow": func(c *caller, r withoutContext) error { return r.QueryRow(c.text(selectSong), 1).Scan(new(string)) },
	"Exec":     func(c *caller, r withoutContext) error { return second(r.Exec(c.text(updateSong), "a title", 1)) },
	"Prepare":  func(c *caller, r withoutContext) error { return closed(r.Prepare(c.text(selectSong))) },
}

func withConn(f func(c *caller, conn *sql.Conn) error) func(c *caller) error {
	return func(c *caller) error {
		conn, err := c.db.Conn(c.ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		return f(c, conn)
	}
}

func withTx(f func(c *caller, tx *sql.Tx) error) func(c *caller) error {
	return func(c *caller) error {
		tx, err := c.db.BeginTx(c.ctx, nil)
		if err != nil {
			return err
		}
		if err := f(c, tx); err != nil {
			tx.Rollback()
			return err
		}
		return tx.Commit()
	}
}

func withStmt(f func(c *caller, s *sql.Stmt) error) func(c *caller) error {
	return withPrepared(selectSong, f)
}

func withUpdate(f func(c *caller, s *sql.Stmt) error) func(c *caller) error {
	return withPrepared(updateSong, f)
}

func withPrepared(query string, f func(c *caller, s *sql.Stmt) error) func(c *caller) error {
	return func(c *caller) error {
		s, err := c.db.PrepareContext(c.ctx, c.text(query))
		if err != nil {
			return err
		}
		defer s.Close()
		return f(c, s)
	}
}

func inTx(f func(c *caller, tx *sql.Tx, s *sql.Stmt) error) func(c *caller, s *sql.Stmt) error {
	return func(c *caller, s *sql.Stmt) error {
		return withTx(func(c *caller, tx *sql.Tx) error { return f(c, tx, s) })(c)
	}
}

// drain reads all rows.
func drain(rows *sql.Rows, err error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}

func second(_ sql.Result, err error) error { return err }

func closed(s *sql.Stmt, err error) error {
	if err != nil {
		return err
	}
	return s.Close()
}
