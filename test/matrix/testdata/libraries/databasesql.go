package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

func init() {
	sql.Register("none", noDriver{})
	uses = append(uses, useDB, useConn, useTx, useStmt)
}

// noDriver has no connections.
type noDriver struct{}

func (noDriver) Open(string) (driver.Conn, error) { return nil, errors.New("no database") }

const query = "SELECT 1"

func useDB() error {
	db, err := sql.Open("none", "")
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Ping(); err != nil {
		return err
	}
	if _, err := db.Exec(query); err != nil {
		return err
	}
	if err := db.QueryRow(query).Scan(new(int)); err != nil {
		return err
	}
	rows, err := db.Query(query)
	if err != nil {
		return err
	}
	return rows.Close()
}

func useConn() error {
	ctx := context.Background()
	db, err := sql.Open("none", "")
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	if err := conn.PingContext(ctx); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, query); err != nil {
		return err
	}
	if err := conn.QueryRowContext(ctx, query).Scan(new(int)); err != nil {
		return err
	}
	if _, err := conn.PrepareContext(ctx, query); err != nil {
		return err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	return tx.Rollback()
}

func useTx() error {
	db, err := sql.Open("none", "")
	if err != nil {
		return err
	}
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	if _, err := tx.Exec(query); err != nil {
		return err
	}
	if err := tx.QueryRow(query).Scan(new(int)); err != nil {
		return err
	}
	if _, err := tx.Prepare(query); err != nil {
		return err
	}
	return tx.Commit()
}

func useStmt() error {
	db, err := sql.Open("none", "")
	if err != nil {
		return err
	}
	stmt, err := db.Prepare(query)
	if err != nil {
		return err
	}
	if _, err := stmt.Exec(); err != nil {
		return err
	}
	return stmt.QueryRow().Scan(new(int))
}
