// Package sqltext makes the text of SQL statements safe to show, and short.
//
// Where a literal begins and ends depends on the server's dialect and settings. This package's scanner settles that first, and
// refuses a text rather than guess; github.com/DataDog/go-sqllexer, which knows SQL's words, then has to find no literal in what is left.
// The lexer alone would not do: v0.2.6 takes 2.50 in price/2.50 for a part of a name, ends nested comments too early, cuts 1_000 in two,
// reads a NUL as the end, and closes a string at its end of the text.
package sqltext

import (
	"strings"
	"unicode/utf8"

	"github.com/DataDog/go-sqllexer"
)

// maxText is the longest text, in bytes, that Clean reads.
const maxText = 64 << 10

// placeholder is what stands for a literal.
const placeholder = "?"

// A Statement is what may be shown of an SQL text, which may have several statements.
type Statement struct {
	// Text is the text with each literal replaced by ?, lists of literals after IN replaced by (?), and without comments. A text without
	// literals and comments is unchanged, its parameters ($1, ?, :name, @p1) always are.
	Text string
	// Summary names the operations and what they work on in the order of the text, as db.query.summary does: "SELECT songs artists".
	// It has at most 255 characters and ends with a whole word.
	Summary string
	// Operation is the operation if there is only one: "SELECT".
	Operation string
	// Collection is the table if there is one operation on one table: "songs".
	Collection string
}

// Clean returns what may be shown of a text for a server of the given db.system.name ("postgresql", "mysql", "sqlite",
// "microsoft.sql_server", "oracle.db", …; any other is read with suspicion). It returns false, and no statement, if it cannot tell what is a literal:
// unterminated quotes and comments, brackets that do not match, numbers and strings that touch words, statements that begin with no
// SQL command, text that the server's settings could make mean two things, text that was cut.
func Clean(system, text string) (Statement, bool) {
	if len(text) > maxText || !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return Statement{}, false
	}
	d := dialectOf(system)
	tokens, ok := d.agreed(text)
	if !ok || namesSecret(tokens) {
		return Statement{}, false
	}
	safe := show(tokens)
	if hasLiteral(d.lexer, tokens) {
		return Statement{}, false
	}
	s := summarise(significant(tokens))
	s.Text = safe
	return s, true
}

// agreed returns the tokens of the text by the dialect's first reading, which is the default of its servers. That must be well-formed, and the
// other readings must be none at all or come to the same.
func (d dialect) agreed(text string) ([]token, bool) {
	first, err := scan(d, d.readings[0], text)
	if err != nil || !wellFormed(first) {
		return nil, false
	}
	for _, r := range d.readings[1:] {
		tokens, err := scan(d, r, text)
		if err == nil && wellFormed(tokens) && show(tokens) != show(first) {
			return nil, false
		}
	}
	return first, true
}

// show returns the tokens as text without literals and comments.
func show(tokens []token) string {
	var b strings.Builder
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		switch {
		case t.kind == comment:
			if i > 0 && i+1 < len(tokens) && tokens[i-1].kind != space && tokens[i+1].kind != space {
				b.WriteByte(' ')
			}
			continue
		case t.isLiteral():
			b.WriteString(placeholder)
			continue
		}
		b.WriteString(t.text)
		if n := literalList(tokens[:i], tokens[i:]); n > 0 {
			b.WriteString(placeholder)
			i += n
		}
	}
	if !changed(tokens) {
		return b.String()
	}
	return strings.TrimSpace(b.String())
}

func changed(tokens []token) bool {
	for _, t := range tokens {
		if t.kind == comment || t.isLiteral() {
			return true
		}
	}
	return false
}

// isLiteral also counts the words TRUE and FALSE.
func (t token) isLiteral() bool {
	return t.kind == str || t.kind == number || t.kind == word && (strings.EqualFold(t.text, "true") || strings.EqualFold(t.text, "false"))
}

// literalList returns how many tokens lie between the parentheses if rest begins with IN's list of several literals, else 0.
func literalList(before, rest []token) int {
	if rest[0].text != "(" || !endsWithWord(before, "IN") {
		return 0
	}
	literals := 0
	for i, t := range rest[1:] {
		switch {
		case t.isLiteral():
			literals++
		case t.kind == space || t.kind == comment || t.text == "," && t.kind == symbol:
		case t.text == ")" && t.kind == symbol && literals > 1:
			return i
		default:
			return 0
		}
	}
	return 0
}

func endsWithWord(tokens []token, want string) bool {
	for i := len(tokens) - 1; i >= 0; i-- {
		if t := tokens[i]; t.kind != space && t.kind != comment {
			return t.kind == word && strings.EqualFold(t.text, want)
		}
	}
	return false
}

// hasLiteral says whether go-sqllexer sees a literal in what show leaves. It is spared what it is known to misread: parameters,
// and names in quotes of another dialect.
func hasLiteral(dbms sqllexer.DBMSType, tokens []token) bool {
	var plain []token
	for _, t := range tokens {
		switch t.kind {
		case param:
			t.text = placeholder
		case name:
			t = token{word, " q "}
		}
		plain = append(plain, t)
	}
	lexer := sqllexer.New(show(plain), sqllexer.WithDBMS(dbms))
	for {
		switch lexer.Scan().Type {
		case sqllexer.EOF:
			return false
		case sqllexer.STRING, sqllexer.INCOMPLETE_STRING, sqllexer.NUMBER, sqllexer.DOLLAR_QUOTED_STRING, sqllexer.DOLLAR_QUOTED_FUNCTION,
			sqllexer.COMMENT, sqllexer.MULTILINE_COMMENT, sqllexer.ERROR:
			return true
		}
	}
}

// significant leaves out spaces and comments.
func significant(tokens []token) []token {
	var out []token
	for _, t := range tokens {
		if t.kind != space && t.kind != comment {
			out = append(out, t)
		}
	}
	return out
}
