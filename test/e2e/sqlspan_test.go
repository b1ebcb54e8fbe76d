package e2e

import (
	"fmt"
	"sort"
	"strings"
)

// A sqlSpan is what a call of database/sql is to become by the conventions for databases, besides what all calls of a database have in
// common. https://opentelemetry.io/docs/specs/semconv/db/database-spans/
type sqlSpan struct {
	operation  string // db.operation.name
	text       string // db.query.text
	parameters bool   // the ? in it are parameters, which the driver writes in its way
	summary    string // db.query.summary, which is the name if there is one
	table      string // db.collection.name
	root       bool   // has no parent
	err        *sqlError
}

// A sqlError is how a call failed.
type sqlError struct {
	code    string // db.response.status_code, and then also error.type
	kind    string // error.type otherwise
	message string // the status's description
}

var (
	songQuery   = sqlSpan{operation: "SELECT", text: "SELECT title FROM songs WHERE id = ?", parameters: true, summary: "SELECT songs", table: "songs"}
	songUpdate  = sqlSpan{operation: "UPDATE", text: "UPDATE songs SET title = ? WHERE id = ?", parameters: true, summary: "UPDATE songs", table: "songs"}
	songPrepare = sqlSpan{operation: "PREPARE", text: songQuery.text, parameters: true, summary: "PREPARE SELECT songs", table: "songs"}
	titleUpdate = sqlSpan{operation: "PREPARE", text: songUpdate.text, parameters: true, summary: "PREPARE UPDATE songs", table: "songs"}
	begin       = sqlSpan{operation: "BEGIN"}
	commit      = sqlSpan{operation: "COMMIT"}
	rollback    = sqlSpan{operation: "ROLLBACK"}
	ping        = sqlSpan{operation: "PING"}
)

func (s sqlSpan) fails(err *sqlError) sqlSpan {
	s.err = err
	return s
}

// A sqlWay is a way of testdata/sqlclient, and the spans that it makes in the order of their start.
type sqlWay struct {
	how   string
	spans []sqlSpan
}

// sqlWays are the ways that succeed, and those that fail without having asked.
func sqlWays() []sqlWay {
	ways := []sqlWay{
		{"db.PingContext", []sqlSpan{ping}},
		{"db.Ping", []sqlSpan{ping}},
		{"conn.PingContext", []sqlSpan{ping}},
		{"conn.BeginTx", []sqlSpan{begin, rollback}},
		{"tx.Rollback", []sqlSpan{begin, rollback}},
		{"tx.Commit", []sqlSpan{begin, commit}},
		{"stmt.QueryContext", []sqlSpan{songPrepare, songQuery}},
		{"stmt.Query", []sqlSpan{songPrepare, songQuery}},
		{"stmt.QueryRowContext", []sqlSpan{songPrepare, songQuery}},
		{"stmt.QueryRow", []sqlSpan{songPrepare, songQuery}},
		{"stmt.ExecContext", []sqlSpan{titleUpdate, songUpdate}},
		{"stmt.Exec", []sqlSpan{titleUpdate, songUpdate}},
		{"tx.StmtContext", []sqlSpan{songPrepare, begin, songQuery, commit}},
		{"tx.Stmt", []sqlSpan{songPrepare, begin, songQuery, commit}},
		{"re-prepared", []sqlSpan{songPrepare, songQuery}},
		{"no rows", []sqlSpan{songQuery}},
		{"literals", []sqlSpan{{
			operation: "SELECT", text: "SELECT title FROM songs  WHERE title = ? AND id IN (?)", summary: "SELECT songs", table: "songs",
		}}},
		{"goroutine", []sqlSpan{songQuery}},
		{"background", []sqlSpan{songQuery}},
		{"cancelled before", []sqlSpan{songQuery.fails(&sqlError{kind: "context.Canceled", message: "context canceled"})}},
	}
	for call, span := range map[string]sqlSpan{
		"QueryContext": songQuery, "QueryRowContext": songQuery, "ExecContext": songUpdate, "PrepareContext": songPrepare,
		"Query": songQuery, "QueryRow": songQuery, "Exec": songUpdate, "Prepare": songPrepare,
	} {
		ways = append(ways, sqlWay{"db." + call, []sqlSpan{span}}, sqlWay{"tx." + call, []sqlSpan{begin, span, commit}})
		if strings.HasSuffix(call, "Context") {
			ways = append(ways, sqlWay{"conn." + call, []sqlSpan{span}})
		}
	}
	sort.Slice(ways, func(i, j int) bool { return ways[i].how < ways[j].how })
	return ways
}

// failedWays are the ways whose errors come from the server.
func failedWays(d sqlTarget) []sqlWay {
	syntax := sqlSpan{operation: "SELECT", text: "SELECT ? FROM WHERE id = ?", summary: "SELECT"}
	missing := sqlSpan{operation: "SELECT", text: "SELECT ? FROM missing", summary: "SELECT missing", table: "missing"}
	prepare := sqlSpan{operation: "PREPARE", text: "SELECT title FROM missing WHERE id = ?", parameters: true, summary: "PREPARE SELECT missing", table: "missing"}
	insert := sqlSpan{operation: "INSERT", text: "INSERT INTO songs (id, title) VALUES (?, ?)", summary: "INSERT songs", table: "songs"}
	var noCommand sqlSpan // nobody knows what is secret in what is no SQL
	errs := d.errors()
	ways := []sqlWay{
		{"syntax", []sqlSpan{syntax.fails(errs.syntax)}},
		{"no command", []sqlSpan{noCommand.fails(errs.noCommand)}},
		{"no table", []sqlSpan{missing.fails(errs.noTable)}},
		{"prepare fails", []sqlSpan{prepare.fails(errs.prepare)}},
		{"constraint", []sqlSpan{insert.fails(errs.constraint)}},
		{"timeout", []sqlSpan{d.endless().fails(errs.timeout)}},
		{"cancel", []sqlSpan{d.endless().fails(errs.cancel)}},
	}
	if errs.locked != nil {
		ways = append(ways, sqlWay{"locked", []sqlSpan{begin, songQuery, begin, songQuery, songUpdate, songUpdate.fails(errs.locked), rollback, rollback}})
	}
	return ways
}

// sqlErrors are the errors of a database as a driver reports them.
type sqlErrors struct {
	syntax, noCommand, noTable, prepare, constraint, timeout, cancel, deadlock, locked *sqlError
}

func (d sqlTarget) errors() sqlErrors {
	deadline := &sqlError{kind: "context.deadlineExceededError", message: "context deadline exceeded"}
	cancelled := &sqlError{kind: "context.Canceled", message: "context canceled"}
	switch d.driver {
	case "postgres", "pgx": // https://www.postgresql.org/docs/current/errcodes-appendix.html
		e := sqlErrors{
			syntax:     &sqlError{code: "42601", message: `syntax error at or near "?"`},
			noCommand:  &sqlError{code: "42601", message: `syntax error at or near "?"`},
			noTable:    &sqlError{code: "42P01", message: `relation "missing" does not exist`},
			constraint: &sqlError{code: "23505", message: `duplicate key value violates unique constraint "songs_pkey"`},
			deadlock:   &sqlError{code: "40P01", message: "deadlock detected"},
			timeout:    deadline, cancel: cancelled,
		}
		if d.driver == "postgres" { // which waits for the server's answer to the cancellation
			e.timeout = &sqlError{code: "57014", message: "canceling statement due to user request"}
			e.cancel = e.timeout
		}
		e.prepare = e.noTable
		return e
	case "mysql": // https://mariadb.com/kb/en/mariadb-error-code-reference/
		syntax := "You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version for the right syntax to use near '?' at line 1"
		noTable := &sqlError{code: "1146", message: "Table '?' doesn't exist"}
		return sqlErrors{
			syntax:     &sqlError{code: "1064", message: syntax},
			noCommand:  &sqlError{code: "1064", message: syntax},
			noTable:    noTable,
			prepare:    noTable,
			constraint: &sqlError{code: "1062", message: "Duplicate entry '?'"},
			deadlock:   &sqlError{code: "1213", message: "Deadlock found when trying to get lock; try restarting transaction"},
			timeout:    deadline, cancel: cancelled,
		}
	}
	e := sqlErrors{ // https://www.sqlite.org/rescode.html; 1555 is the extended code of a primary key's violation
		syntax:     &sqlError{code: "1", message: `near "?": syntax error`},
		noTable:    &sqlError{code: "1", message: "no such table: ?"},
		constraint: &sqlError{code: "1555", message: "UNIQUE constraint failed: songs.id"},
		locked:     &sqlError{code: "5", message: "database is locked"},
		timeout:    deadline, cancel: cancelled,
	}
	if d.driver == "sqlite" { // which adds what the code says, and the code
		e.syntax.message = "SQL logic error: " + e.syntax.message + " (1)"
		e.noTable.message = "SQL logic error: " + e.noTable.message
		e.locked.message += " (5) (SQLITE_BUSY)"
		e.constraint.message = "constraint failed: " + e.constraint.message + " (1555)"
	}
	e.noCommand, e.prepare = e.syntax, e.noTable
	switch {
	case d.driver == "sqlite3": // whose queries end before the first row is looked for
		e.timeout, e.cancel = nil, nil
	case d.old: // which does not tell why it was interrupted, and prepares at the first use
		e.timeout = &sqlError{code: "9", message: "interrupted (9)"}
		e.cancel, e.prepare = e.timeout, nil
	}
	return e
}

// endless is the query that takes a minute.
func (d sqlTarget) endless() sqlSpan {
	switch d.system {
	case "postgresql":
		return sqlSpan{operation: "SELECT", text: "SELECT pg_sleep(?) FROM songs", summary: "SELECT songs", table: "songs"}
	case "mysql":
		return sqlSpan{operation: "SELECT", text: "SELECT sleep(?) FROM songs", summary: "SELECT songs", table: "songs"}
	}
	return sqlSpan{
		text:    "SELECT count(*) FROM songs a, (WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + ? FROM n) SELECT i FROM n LIMIT ?)",
		summary: "SELECT songs SELECT SELECT SELECT",
	}
}

// want is the span as testenv.Canonical writes it.
func (d sqlTarget) want(s sqlSpan, number int) string {
	attrs := map[string]string{"db.system.name": d.system, "db.namespace": d.space, "server.address": d.addr}
	attrs["db.operation.name"], attrs["db.collection.name"] = s.operation, s.table
	attrs["db.query.summary"] = s.summary
	if d.system == "other_sql" {
		attrs["remora.db.driver"] = "main" // the package of the driver, which is the fixture's own
	}
	attrs["db.query.text"] = s.text
	if s.parameters {
		attrs["db.query.text"] = d.text(s.text)
	}
	status := "UNSET"
	if s.err != nil {
		status = fmt.Sprintf("ERROR %q", s.err.message)
		attrs["db.response.status_code"], attrs["error.type"] = s.err.code, s.err.code+s.err.kind
	}
	var lines []string
	for k, v := range attrs {
		if v != "" {
			lines = append(lines, fmt.Sprintf("  %s = %q\n", k, v))
		}
	}
	if d.port != "" {
		lines = append(lines, "  server.port = "+d.port+"\n")
	}
	sort.Strings(lines)
	parent := " parent=REQUEST"
	if s.root {
		parent = ""
	}
	return fmt.Sprintf("%s [CLIENT] TRACE S%d%s flags=0x101\n  status %s\n%s", d.name(s), number, parent, status, strings.Join(lines, ""))
}

// name is the summary, else the operation and what it is for, else the latter, else the system.
// https://opentelemetry.io/docs/specs/semconv/db/database-spans/#name
func (d sqlTarget) name(s sqlSpan) string {
	target := d.space
	if target == "" && d.addr != "" {
		target = d.addr
		if d.port != "" {
			target += ":" + d.port
		}
	}
	for _, name := range []string{s.summary, strings.TrimSpace(s.operation + " " + target), d.system} {
		if name != "" {
			return name
		}
	}
	return ""
}
