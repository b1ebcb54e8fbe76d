package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"runtime"
	"sync"
	"time"
)

func init() { sql.Register("fake", fakeDriver{}) }

// fakeDriver is a database without a server. Its data source says what goes wrong: "flaky" has the first two uses of connections
// fail with driver.ErrBadConn after 20 ms, "bad" all of them, "nowhere" has no connections, "nested" asks another database, "panics" panics,
// "exits" ends the goroutine that makes a query; anything else works.
type fakeDriver struct{}

func (fakeDriver) Open(source string) (driver.Conn, error) {
	if source == "nowhere" {
		return nil, errors.New("no such fake")
	}
	return &fakeConn{source: source}, nil
}

type fakeConn struct {
	source string
}

var failures struct {
	sync.Mutex
	n int
}

// use says whether the connection may be used. Three uses in turn make one that works.
func (c *fakeConn) use() error {
	if c.source == "bad" {
		return driver.ErrBadConn
	}
	if c.source == "flaky" {
		failures.Lock()
		defer failures.Unlock()
		if failures.n++; failures.n%3 != 0 {
			time.Sleep(20 * time.Millisecond)
			return driver.ErrBadConn
		}
	}
	return nil
}

func (c *fakeConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	switch c.source {
	case "panics":
		panic("driver")
	case "exits":
		runtime.Goexit()
	case "nested":
		db, err := sql.Open("fake", "within")
		if err != nil {
			return nil, err
		}
		defer db.Close()
		if err := drain(db.QueryContext(ctx, "SELECT inner FROM nested")); err != nil {
			return nil, err
		}
	}
	return &fakeRows{}, c.use()
}

func (c *fakeConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return driver.ResultNoRows, c.use()
}

func (c *fakeConn) Prepare(query string) (driver.Stmt, error)      { return fakeStmt{}, nil }
func (c *fakeConn) Close() error                                   { return nil }
func (c *fakeConn) Begin() (driver.Tx, error)                      { return fakeTx{}, nil }
func (c *fakeConn) Ping(ctx context.Context) error                 { return c.use() }
func (c *fakeConn) CheckNamedValue(value *driver.NamedValue) error { return nil }

type fakeStmt struct{}

func (fakeStmt) Close() error                                    { return nil }
func (fakeStmt) NumInput() int                                   { return -1 }
func (fakeStmt) Exec(args []driver.Value) (driver.Result, error) { return driver.ResultNoRows, nil }
func (fakeStmt) Query(args []driver.Value) (driver.Rows, error)  { return &fakeRows{}, nil }

type fakeTx struct{}

func (fakeTx) Commit() error   { return nil }
func (fakeTx) Rollback() error { return nil }

// fakeRows is one row of one text.
type fakeRows struct{ done bool }

func (r *fakeRows) Columns() []string { return []string{"title"} }
func (r *fakeRows) Close() error      { return nil }

func (r *fakeRows) Next(dest []driver.Value) error {
	if r.done {
		return io.EOF
	}
	r.done, dest[0] = true, "a title"
	return nil
}
