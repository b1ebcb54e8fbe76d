package sqltext

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// maxSummary is the longest summary, in characters.
// https://opentelemetry.io/docs/specs/semconv/db/database-spans/#generating-a-summary-of-the-query
const maxSummary = 255

// objects are the kinds of things that are created, altered and dropped, and what can be started.
var objects = wordSet(`TABLE TABLES VIEW INDEX SEQUENCE SCHEMA DATABASE FUNCTION PROCEDURE TRIGGER TYPE ROLE USER EXTENSION DOMAIN TRANSACTION`)

// objectAdjectives stand before the kind of thing.
var objectAdjectives = wordSet(`OR REPLACE TEMP TEMPORARY UNLOGGED UNIQUE MATERIALIZED VIRTUAL GLOBAL LOCAL CLUSTERED NONCLUSTERED FULLTEXT SPATIAL
	EXTERNAL RECURSIVE`)

// beforeTarget are words between what brings a target and the target.
var beforeTarget = wordSet(`IF NOT EXISTS ONLY LATERAL IGNORE LOW_PRIORITY CONCURRENTLY OR ROLLBACK ABORT FAIL REPLACE TABLE OUTFILE DUMPFILE`)

// A scope is a pair of parentheses, or what is outside of all.
type scope struct {
	operation bool // has one, so that FROM is its clause and not a function's separator
	list      bool // in a list of tables: a comma brings the next one
	with      bool // in the list of common table expressions
}

// A summariser walks over the significant tokens of a text.
type summariser struct {
	tokens      []token
	at          int
	parts       []string
	operations  []string
	collections []string
	expressions []string // names of common table expressions, which are no tables
	scopes      []scope  // the last one is the innermost
	statement   string   // the operation that the statement began with, in upper case
	begins      bool     // no operation of the statement was seen yet
	indexed     bool     // ON brings the table of an index or of a trigger
}

func summarise(tokens []token) Statement {
	s := summariser{tokens: tokens, scopes: []scope{{}}, begins: true}
	for s.at < len(tokens) {
		s.step()
	}
	var out Statement
	for _, part := range s.parts {
		if utf8.RuneCountInString(out.Summary)+1+utf8.RuneCountInString(part) > maxSummary {
			break
		}
		out.Summary = strings.TrimPrefix(out.Summary+" "+part, " ")
	}
	if len(s.operations) == 1 {
		out.Operation = s.operations[0]
		if len(s.collections) == 1 {
			out.Collection = s.collections[0]
		}
	}
	return out
}

func (s *summariser) scope() *scope { return &s.scopes[len(s.scopes)-1] }

// upper returns the word i tokens on in upper case; "" if there is none.
func (s *summariser) upper(i int) string {
	if i += s.at; i >= 0 && i < len(s.tokens) && s.tokens[i].kind == word {
		return strings.ToUpper(s.tokens[i].text)
	}
	return ""
}

// symbol says whether this is the token i tokens on.
func (s *summariser) symbol(i int, text string) bool {
	i += s.at
	return i >= 0 && i < len(s.tokens) && s.tokens[i].kind == symbol && s.tokens[i].text == text
}

// step looks at the present token, and passes it and what belongs to it.
func (s *summariser) step() {
	switch t := s.tokens[s.at]; {
	case t.kind == word:
		s.word()
		return
	case t.kind != symbol:
	case t.text == ";":
		s.scopes, s.begins = []scope{{}}, true
	case t.text == "(":
		s.scopes = append(s.scopes, scope{})
	case t.text == ")" && len(s.scopes) > 1:
		s.scopes = s.scopes[:len(s.scopes)-1]
	case t.text == "," && s.scope().list:
		s.at++
		s.target(true)
		return
	}
	s.at++
}

func (s *summariser) word() {
	w := s.upper(0)
	switch {
	case s.symbol(-1, "."), s.symbol(1, "."):
	case w == "WITH" && (s.upper(1) == "RECURSIVE" || s.upper(2) == "AS" || s.upper(1) != "" && s.symbol(2, "(")):
		s.scope().with = true
	case s.scope().with && !isKeyword(w) && (s.upper(1) == "AS" || s.symbol(1, "(")):
		s.expressions = append(s.expressions, w)
	case s.isOperation(w):
		s.operation(w)
		return
	case s.bringsTarget(w):
		s.indexed = s.indexed && w != "ON"
		s.at++
		s.target(w != "INTO" && w != "ON")
		return
	case isKeyword(w) && w != "AS":
		s.scope().list = false
	}
	s.at++
}

func (s *summariser) isOperation(w string) bool {
	switch w {
	case "SELECT":
		return !s.grants()
	case "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE":
		return s.startsOperation() && !s.symbol(1, "(")
	}
	return s.begins && commands[w] && !s.scope().with
}

// startsOperation says whether an operation can begin at the present word: it is the first of a statement or of parentheses, or
// stands behind what says that an operation follows.
func (s *summariser) startsOperation() bool {
	if s.begins || s.symbol(-1, "(") || s.symbol(-1, ")") && s.scope().with {
		return true
	}
	switch s.upper(-1) {
	case "EXPLAIN", "ANALYZE", "ANALYSE", "VERBOSE", "PLAN", "AS", "BEGIN":
		return true
	}
	return false
}

// grants says whether the statement gives or takes rights, whose names are those of operations.
func (s *summariser) grants() bool {
	return s.statement == "GRANT" || s.statement == "REVOKE" || s.statement == "DENY"
}

// operation notes the operation that begins with w, and its target if that follows at once.
func (s *summariser) operation(w string) {
	name := s.tokens[s.at].text
	if s.begins {
		s.statement, s.begins = w, false
	}
	*s.scope() = scope{operation: true}
	s.at++
	switch w {
	case "CREATE", "ALTER", "DROP", "TRUNCATE", "LOCK", "START":
		if object := s.object(); object != "" {
			name += " " + object
		}
	}
	s.parts, s.operations = append(s.parts, name), append(s.operations, name)
	switch w {
	case "UPDATE", "CALL", "EXEC", "EXECUTE", "TRUNCATE", "TABLE", "CREATE", "ALTER", "DROP", "LOCK", "COPY":
		s.target(false)
	}
}

// object passes the kind of thing that the operation is about, and returns it.
func (s *summariser) object() string {
	n := 0
	for objectAdjectives[s.upper(n)] {
		n++
	}
	kind := s.upper(n)
	if !objects[kind] {
		return ""
	}
	s.indexed = kind == "INDEX" || kind == "TRIGGER"
	s.at += n + 1
	return s.tokens[s.at-1].text
}

// bringsTarget says whether a table or the like follows this word.
func (s *summariser) bringsTarget(w string) bool {
	switch w {
	case "FROM":
		return s.scope().operation && s.upper(-1) != "DISTINCT" && !s.grants() && s.statement != "COPY"
	case "JOIN", "STRAIGHT_JOIN", "INTO":
		return s.scope().operation
	case "USING":
		return (s.statement == "MERGE" || s.statement == "DELETE") && !s.symbol(1, "(")
	case "ON":
		return s.indexed
	}
	return false
}

// target notes the name at the present token, if one is there. Where a table is read from, parentheses behind it say that it is a
// function; where one is written to, they hold its columns.
func (s *summariser) target(read bool) {
	for beforeTarget[s.upper(0)] {
		s.at++
	}
	from := s.at
	for s.isNamePart() && (s.at == from || s.symbol(-1, ".")) {
		s.at++
		if s.symbol(0, ".") {
			s.at++
		}
	}
	parentheses := s.symbol(0, "(")
	s.scope().list = read || !parentheses
	if from == s.at || read && parentheses {
		return
	}
	s.note(s.tokens[from:s.at])
}

// note notes a target.
func (s *summariser) note(target []token) {
	var b strings.Builder
	for _, t := range target {
		b.WriteString(t.text)
	}
	text := b.String()
	if slices.Contains(s.expressions, strings.ToUpper(text)) {
		return
	}
	s.parts = append(s.parts, text)
	if !slices.Contains(s.collections, text) {
		s.collections = append(s.collections, text)
	}
}

// isNamePart says whether the present token is a name: behind a dot also one that would be a keyword elsewhere.
func (s *summariser) isNamePart() bool {
	if s.at >= len(s.tokens) {
		return false
	}
	t := s.tokens[s.at]
	return t.kind == name || t.kind == word && !t.isLiteral() && (s.symbol(-1, ".") || !isKeyword(t.text))
}
