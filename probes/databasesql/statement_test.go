package databasesql

import (
	"fmt"
	"strings"
	"testing"
)

// However a text was cut, it ends where it says so, and no literal is left in it.
func TestCutText(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"SELECT a FROM t WHERE b = $1 AND lon", "SELECT a FROM t WHERE b = $1 AND…"},
		{"INSERT INTO t VALUES ('secret one', 'secret tw", ""},
		{"SELECT a FROM t WHERE b = 'secret one' AND c = 'secret tw", "SELECT a FROM t WHERE b = ? AND c =…"},
		{"SELECT a FROM t WHERE b = 'secr\xc3", "SELECT a FROM t WHERE b =…"},
		{"SELECT a FROM t WHERE b = 12345", "SELECT a FROM t WHERE b =…"},
		{`SELECT a FROM t WHERE b = 'C:\' AND c = ' secret`, ""},
		{"secret", ""},
		{"\xff\xff", ""},
		{"", ""},
	} {
		st := statements{}
		for range 2 { // made, and remembered
			if got := st.clean("postgresql", []byte(tt.text), true).Text; got != tt.want {
				t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
			}
		}
	}
}

// However many texts there are, few are remembered.
func TestStatementsAreBounded(t *testing.T) {
	st := statements{}
	for i := range 2 * statementsMax {
		st.clean("mysql", fmt.Appendf(nil, "SELECT %d", i), false)
	}
	if len(st) > statementsMax {
		t.Errorf("%d texts", len(st))
	}
}

// A text that was seen before costs nothing.
func TestStatementAllocations(t *testing.T) {
	st, text := statements{}, []byte("SELECT a FROM "+strings.Repeat("t", 100))
	if n := testing.AllocsPerRun(100, func() { st.clean("mysql", text, false) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
