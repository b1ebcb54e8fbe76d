package main

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// setup makes the tables. It runs before the program is traced.
func setup(c *caller) error {
	for _, text := range []string{
		"DROP TABLE IF EXISTS songs",
		"CREATE TABLE songs (id INTEGER PRIMARY KEY, title VARCHAR(200))",
		"INSERT INTO songs VALUES (1, 'a title'), (2, 'another')",
	} {
		if _, err := c.db.ExecContext(c.ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// failing are the ways that end with an error, each of another kind. None of their spans may have the word hunter2.
var failing = map[string]func(c *caller) error{
	"syntax": func(c *caller) error {
		return drain(c.db.QueryContext(c.ctx, "SELECT 'hunter2' FROM WHERE id = 'hunter2'"))
	},
	"no command": func(c *caller) error { return second(c.db.ExecContext(c.ctx, "SELEC 'hunter2' FROM songs")) },
	"no table":   func(c *caller) error { return drain(c.db.QueryContext(c.ctx, "SELECT 'hunter2' FROM missing")) },
	"constraint": func(c *caller) error {
		return second(c.db.ExecContext(c.ctx, "INSERT INTO songs (id, title) VALUES (1, 'hunter2')"))
	},
	"prepare fails": func(c *caller) error {
		return closed(c.db.PrepareContext(c.ctx, c.text("SELECT title FROM missing WHERE id = ?")))
	},
	"timeout": func(c *caller) error {
		return c.interrupted(func() (context.Context, context.CancelFunc) { return context.WithTimeout(c.ctx, soon) })
	},
	"cancel": func(c *caller) error {
		return c.interrupted(func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(c.ctx)
			time.AfterFunc(soon, cancel)
			return ctx, cancel
		})
	},
	"cancelled before": func(c *caller) error {
		ctx, cancel := context.WithCancel(c.ctx)
		cancel()
		return drain(c.db.QueryContext(ctx, c.text(selectSong), 1))
	},
	"endless":  func(c *caller) error { return drain(c.db.QueryContext(c.ctx, c.endless())) },
	"busy":     busy,
	"deadlock": deadlock,
	"locked":   locked,
	"tx done": func(c *caller) error {
		tx, err := c.db.BeginTx(c.ctx, nil)
		if err != nil {
			return err
		}
		if err := tx.Rollback(); err != nil {
			return err
		}
		return tx.Commit()
	},
}

// soon is when a query is interrupted.
const soon = 200 * time.Millisecond

// interrupted has a query end with its context. There is an idle connection before: the time is not to be over while one is made.
func (c *caller) interrupted(begin func() (context.Context, context.CancelFunc)) error {
	conn, err := c.db.Conn(c.ctx)
	if err != nil {
		return err
	}
	if err := conn.Close(); err != nil {
		return err
	}
	ctx, cancel := begin()
	defer cancel()
	return drain(c.db.QueryContext(ctx, c.endless()))
}

// endless is a query that takes a minute.
func (c *caller) endless() string {
	switch {
	case c.postgres():
		return "SELECT pg_sleep(60) FROM songs"
	case c.sqlite():
		return "SELECT count(*) FROM songs a, (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n LIMIT 1000000000)"
	}
	return "SELECT sleep(60) FROM songs"
}

// busy fails while no other connection runs the endless query.
func busy(c *caller) error {
	text := "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(60) FROM songs'"
	if !c.postgres() {
		text = "SELECT count(*) FROM information_schema.processlist WHERE info LIKE '%sleep(60) FROM songs'"
	}
	n := 0
	if err := c.db.QueryRowContext(c.ctx, text).Scan(&n); err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("nobody is busy")
	}
	return nil
}

// deadlock has two transactions wait for each other, until the database ends one of them. Its error is what deadlock returns.
func deadlock(c *caller) error {
	one, err := c.db.BeginTx(c.ctx, nil)
	if err != nil {
		return err
	}
	defer one.Rollback()
	two, err := c.db.BeginTx(c.ctx, nil)
	if err != nil {
		return err
	}
	defer two.Rollback()
	update := func(tx *sql.Tx, id int) error {
		return second(tx.ExecContext(c.ctx, c.text(updateSong), "a title", id))
	}
	if err := update(one, 1); err != nil {
		return err
	}
	if err := update(two, 2); err != nil {
		return err
	}
	waits := make(chan error)
	go func() {
		err := update(one, 2)
		one.Rollback()
		waits <- err
	}()
	err = update(two, 1)
	two.Rollback()
	if first := <-waits; first != nil {
		return first
	}
	return err
}

// locked has two transactions read, and then both write. In SQLite, of which there is one lock, each would wait for the other to end: the second
// one is refused.
func locked(c *caller) error {
	one, err := reading(c)
	if err != nil {
		return err
	}
	defer one.Rollback()
	two, err := reading(c)
	if err != nil {
		return err
	}
	defer two.Rollback()
	if err := second(one.ExecContext(c.ctx, c.text(updateSong), "a title", 1)); err != nil {
		return err
	}
	return second(two.ExecContext(c.ctx, c.text(updateSong), "a title", 1))
}

// reading begins a transaction that has read.
func reading(c *caller) (*sql.Tx, error) {
	tx, err := c.db.BeginTx(c.ctx, nil)
	if err != nil {
		return nil, err
	}
	return tx, drain(tx.QueryContext(c.ctx, c.text(selectSong), 1))
}
