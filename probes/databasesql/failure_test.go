package databasesql

import "testing"

func TestDescription(t *testing.T) {
	for _, tt := range []struct{ system, code, message, want string }{
		{"postgresql", "23505", `duplicate key value violates unique constraint "songs_pkey"`, `duplicate key value violates unique constraint "songs_pkey"`},
		{"postgresql", "42P01", `relation "songs" does not exist`, `relation "songs" does not exist`},
		{"postgresql", "42601", `syntax error at or near "secret"`, `syntax error at or near "?"`},
		{"postgresql", "22P02", `invalid input syntax for type integer: "secret"`, `invalid input syntax for type integer: "?"`},
		{"postgresql", "42703", `column "secret" does not exist`, `column "?" does not exist`},
		{"postgresql", "42601", `unterminated quoted string at or near "'secret"`, `unterminated quoted string at or near "?"`},
		{"mysql", "1064", "You have an error in your SQL syntax; check the manual near ''secret' x 'more' at line 1", "You have an error in your SQL syntax; check the manual near '?' at line 1"},
		{"mysql", "1146", "Table 'shop.songs' doesn't exist", "Table '?' doesn't exist"},
		{"mysql", "1", "a lone ' secret", "a lone ?"},
		{"sqlite", "1", "SQL logic error: no such column: secret (1)", "SQL logic error: no such column: ?"},
		{"sqlite", "1", "SQL logic error: no such table: songs (1)", "SQL logic error: no such table: ?"},
		{"sqlite", "1", `near "secret": syntax error`, `near "?": syntax error`},
		{"sqlite", "2067", "constraint failed: UNIQUE constraint failed: songs.id (2067)", "constraint failed: UNIQUE constraint failed: songs.id (2067)"},
		{"sqlite", "5", "database is locked (5) (SQLITE_BUSY)", "database is locked (5) (SQLITE_BUSY)"},
		{"other_sql", "", "bad `secret` query", "bad `?` query"},
		{"other_sql", "", "", ""},
	} {
		f := failure{message: tt.message, code: tt.code}
		if got := f.description(system{name: tt.system}); got != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.system, tt.message, got, tt.want)
		}
	}
}

func TestErrorType(t *testing.T) {
	for _, tt := range []struct {
		failure failure
		want    string
	}{
		{failure{types: []string{"*fmt.wrapError", "*github.com/lib/pq.Error"}, code: "23505"}, "23505"},
		{failure{types: []string{"*fmt.wrapError", "*net.OpError", "*os.SyscallError", "syscall.Errno"}}, "*net.OpError"},
		{failure{types: []string{"*pgconn.ConnectError", "*fmt.wrapError", "*errors.errorString"}, message: "whatever"}, "*pgconn.ConnectError"},
		{failure{types: []string{"*fmt.wrapError", "*errors.errorString"}, message: "context canceled"}, "context.Canceled"},
		{failure{types: []string{"*errors.errorString"}, message: "driver: bad connection"}, "driver.ErrBadConn"},
		{failure{types: []string{"*errors.errorString"}, message: "sql: transaction has already been committed or rolled back"}, "sql.ErrTxDone"},
		{failure{types: []string{"*errors.errorString"}, message: "sql: connection is already closed"}, "sql.ErrConnDone"},
		{failure{types: []string{"*errors.errorString"}, message: "whatever"}, "*errors.errorString"},
		{failure{types: []string{"context.deadlineExceededError"}}, "context.deadlineExceededError"},
		{failure{types: []string{"*fmt.wrapError"}}, "*fmt.wrapError"},
		{failure{}, "_OTHER"},
	} {
		if got := tt.failure.errorType(); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.failure, got, tt.want)
		}
	}
}
