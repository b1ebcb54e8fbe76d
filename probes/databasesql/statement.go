package databasesql

import (
	"strings"
	"unicode/utf8"

	"github.com/remora-agent/remora/probes/databasesql/sqltext"
)

// cutMark stands at the end of a text that was cut.
const cutMark = "…"

// statements remembers what was made of texts: programs send the same ones again and again, and reading one takes longer than
// all the rest of a span.
type statements map[statementKey]sqltext.Statement

type statementKey struct {
	system, text string
	cut          bool
}

// statementsMax bounds how many are remembered; a full map starts anew.
const statementsMax = 1024

// clean returns what may be shown of a query's text; nothing if it is not understood, as then nobody knows what in it is secret.
func (s statements) clean(system string, text []byte, cut bool) sqltext.Statement {
	if len(text) == 0 {
		return sqltext.Statement{}
	}
	if st, ok := s[statementKey{system, string(text), cut}]; ok {
		return st
	}
	if len(s) >= statementsMax {
		clear(s)
	}
	st := safe(system, string(text), cut)
	s[statementKey{system, string(text), cut}] = st
	return st
}

func safe(system, text string, cut bool) sqltext.Statement {
	if !cut {
		st, _ := sqltext.Clean(system, text)
		return st
	}
	for _, head := range heads(text) {
		if st, ok := sqltext.Clean(system, head); ok {
			st.Text += cutMark
			return st
		}
	}
	return sqltext.Statement{}
}

// heads are what a text that was cut may be shortened to, the longest first: to its last space, as the word behind may go on, and
// to before the last quote, as the cut may be within what that begins.
func heads(text string) []string {
	for len(text) > 0 {
		if r, size := utf8.DecodeLastRuneInString(text); r != utf8.RuneError || size > 1 {
			break
		}
		text = text[:len(text)-1] // a part of a character
	}
	var list []string
	if strings.Contains(text, `\`) {
		return nil // whether it escapes the quote behind it depends on the server's settings, and the quote's end may be cut off
	}
	for _, separators := range []string{" \t\n,", "'", `"`} {
		if i := strings.LastIndexAny(text, separators); i > 0 {
			list = append(list, strings.TrimRight(text[:i], " \t\n,("))
		}
	}
	return list
}
