package sqltext

import (
	"errors"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// errUnclear is why a text is refused: what is a literal in it cannot be told.
var errUnclear = errors.New("cannot tell the literals of the statement")

type kind int

const (
	space   kind = iota
	comment      // also what separates tokens
	word         // a keyword or a name without quotes
	name         // a name in quotes
	str          // a literal in quotes
	number       // another literal
	param        // what stands for a value given apart
	symbol       // one byte of an operator or of punctuation
)

// A token is a piece of the text; all of them together are the text.
type token struct {
	kind kind
	text string
}

// numberForm has all that a number may be. Digits may be grouped (1_000), suffixes are Oracle's.
var numberForm = regexp.MustCompile(`^(0[xX][0-9a-fA-F_]*|0[bB][01_]+|0[oO][0-7_]+|([0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)([eE][+-]?[0-9_]+)?[fFdD]?)$`)

// dollarTag is what begins a string in dollars.
var dollarTag = regexp.MustCompile(`^\$([A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$`)

// maxParameterDigits: a longer number behind a parameter's sign is taken for a value.
const maxParameterDigits = 5

// A scanner cuts one text by one reading of one dialect.
type scanner struct {
	dialect
	reading
	text   string
	at     int
	tokens []token
}

// scan returns the tokens of a text, or errUnclear.
func scan(d dialect, r reading, text string) ([]token, error) {
	s := scanner{dialect: d, reading: r, text: text}
	for s.at < len(text) {
		k, n := s.next(text[s.at:])
		if n <= 0 {
			return nil, errUnclear
		}
		s.tokens = append(s.tokens, token{k, text[s.at : s.at+n]})
		s.at += n
	}
	return s.tokens, nil
}

// next returns what rest begins with and its length; 0 if that is unclear.
func (s *scanner) next(rest string) (kind, int) {
	c := rest[0]
	switch {
	case strings.IndexByte(" \t\r\n\v\f", c) >= 0:
		return space, len(rest) - len(strings.TrimLeft(rest, " \t\r\n\v\f"))
	case s.beginsComment(rest):
		return comment, s.comment(rest)
	case c == '\'':
		return str, s.closed(rest, s.single)
	case c == '"':
		return s.doubleQuoted(rest)
	case c == '`' && s.backticks, c == '[' && s.brackets:
		return name, s.name(rest)
	case isDigit(c), c == '.' && len(rest) > 1 && isDigit(rest[1]):
		return number, s.number(rest)
	case s.wordLength(rest) > 0:
		return s.word(rest)
	case c == '$':
		return s.dollar(rest)
	case c == '@' || c == ':' || c == '?':
		return s.parameter(rest)
	case strings.HasPrefix(rest, "*/") && !strings.HasPrefix(rest, "*/*"):
		return symbol, 0 // the end of a comment that nobody began
	case strings.IndexByte("+-*/%<>=!|&^~,;.()[]{}", c) >= 0, c == '#' && s.hashOperator:
		return symbol, 1
	}
	return symbol, 0
}

func (s *scanner) beginsComment(rest string) bool {
	return strings.HasPrefix(rest, "--") || strings.HasPrefix(rest, "/*") || strings.HasPrefix(rest, "//") || rest[0] == '#' && s.hashComment
}

func (s *scanner) comment(rest string) int {
	switch {
	case strings.HasPrefix(rest, "/*"):
		return s.block(rest)
	case strings.HasPrefix(rest, "//") && !s.slashComment:
		return 0
	case strings.HasPrefix(rest, "--") && s.spacedDashes && len(rest) > 2 && rest[2] > ' ':
		return 0 // two signs or a comment: this server's or the next one's opinion
	}
	line, _, _ := strings.Cut(rest, "\n")
	if strings.Contains(strings.TrimSuffix(line, "\r"), "\r") {
		return 0 // ends the line for some servers
	}
	return len(line)
}

func (s *scanner) block(rest string) int {
	if s.codeComments && (strings.HasPrefix(rest, "/*!") || strings.HasPrefix(rest, "/*M!")) {
		return s.codeComment(rest)
	}
	depth := 1
	for i := 2; i+1 < len(rest); i++ {
		switch rest[i : i+2] {
		case "*/":
			i++
			if depth--; depth == 0 {
				return i + 1
			}
		case "/*":
			if s.comments == nestRefused {
				return 0
			}
			if s.comments == nestCounted {
				depth++
			}
			i++
		}
	}
	return 0
}

// codeComment is a comment that the server carries out. Its end is where a simple one's is if it has no quotes and no comment.
func (s *scanner) codeComment(rest string) int {
	n := strings.Index(rest, "*/") + 2
	if n < 2 || strings.ContainsAny(rest[:n], "'\"`#\\") || strings.Contains(rest[2:n], "/*") || strings.Contains(rest[:n], "--") {
		return 0
	}
	return n
}

// closed returns the length of what is in quotes, the closing one included; 0 if there is none, or if what follows touches it.
func (s *scanner) closed(rest string, backslash bool) int {
	quote := rest[0]
	if s.tripleQuotes && len(rest) > 2 && rest[1] == quote && rest[2] == quote {
		return 0
	}
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] == '\\' && backslash:
			i++
		case rest[i] == quote && i+1 < len(rest) && rest[i+1] == quote:
			i++
		case rest[i] == quote:
			return s.apart(rest, i+1)
		}
	}
	return 0
}

// apart returns n, or 0 if what is before n goes on behind it: a quote too many or too few.
func (s *scanner) apart(rest string, n int) int {
	if n < len(rest) && (s.wordLength(rest[n:]) > 0 || isDigit(rest[n]) || strings.IndexByte("'\"`", rest[n]) >= 0) {
		return 0
	}
	return n
}

// name returns the length of a name in quotes. No honest name has a backslash or a line's end, so that these are refused.
func (s *scanner) name(rest string) int {
	end := rest[0]
	if end == '[' {
		end = ']'
	}
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] == '\\' || rest[i] < ' ':
			return 0
		case rest[i] == end && i+1 < len(rest) && rest[i+1] == end:
			i++
		case rest[i] == end:
			return s.apart(rest, i+1)
		}
	}
	return 0
}

func (s *scanner) doubleQuoted(rest string) (kind, int) {
	if s.dialect.double == quotesName {
		return name, s.name(rest)
	}
	n := s.closed(rest, s.reading.double)
	if s.dialect.double == quotesEither && (s.nameExpected() || n > 0 && strings.HasPrefix(rest[n:], ".")) {
		return name, s.name(rest)
	}
	return str, n
}

// last returns the last token that is neither space nor comment.
func (s *scanner) last() (token, bool) {
	for i := len(s.tokens) - 1; i >= 0; i-- {
		if t := s.tokens[i]; t.kind != space && t.kind != comment {
			return t, true
		}
	}
	return token{}, false
}

// nameExpected says whether only a name can follow what is before.
func (s *scanner) nameExpected() bool {
	last, _ := s.last()
	if last.kind == word {
		switch strings.ToUpper(last.text) {
		case "FROM", "JOIN", "INTO", "UPDATE", "TABLE":
			return true
		}
	}
	return last.text == "."
}

func (s *scanner) number(rest string) int {
	n := 0
	for n < len(rest) && (isDigit(rest[n]) || isLetter(rest[n]) || rest[n] == '_' || rest[n] == '.' || isExponentSign(rest, n)) {
		n++
	}
	if !numberForm.MatchString(rest[:n]) {
		return 0
	}
	return s.apart(rest, n)
}

// isExponentSign says whether rest[i] is the sign in 1e-5; in 0x1e-5 it is none.
func isExponentSign(rest string, i int) bool {
	return i > 0 && (rest[i] == '-' || rest[i] == '+') && (rest[i-1]|0x20) == 'e' && len(rest) > 1 && (rest[1]|0x20) != 'x'
}

// wordLength returns the length of the word that rest begins with, if any.
func (s *scanner) wordLength(rest string) int {
	n := 0
	for n < len(rest) {
		r, size := utf8.DecodeRuneInString(rest[n:])
		letter := r == '_' || unicode.IsLetter(r) || r < utf8.RuneSelf && strings.ContainsRune(s.inName, r)
		if !letter && (n == 0 || r != '$' && !isDigit(rest[n]) && !unicode.IsMark(r)) {
			break
		}
		n += size
	}
	return n
}

// word returns a word, or the string of which it is the prefix.
func (s *scanner) word(rest string) (kind, int) {
	n := s.wordLength(rest)
	prefix := strings.ToLower(rest[:n])
	if prefix == "u" && strings.HasPrefix(rest[n:], "&'") {
		return str, plus(n+1, s.closed(rest[n+1:], s.single))
	}
	if n == len(rest) || rest[n] != '\'' && rest[n] != '"' {
		return word, n
	}
	switch prefix {
	case "r", "br", "rb", "b", "x", "n", "e", "q", "nq":
		if rest[n] == '\'' {
			return str, s.prefixed(prefix, rest[n:], n)
		}
		return str, 0
	}
	return word, n // DATE'2020-01-01', _utf8'text', FROM"songs"
}

// prefixed returns the length of a string with its prefix of n bytes.
func (s *scanner) prefixed(prefix, rest string, n int) int {
	switch prefix {
	case "b", "x", "n":
		return plus(n, s.closed(rest, s.single))
	case "e":
		if s.escapeStrings {
			return plus(n, s.closed(rest, true))
		}
	case "q", "nq":
		if s.quoteStrings {
			return plus(n, s.quoteString(rest))
		}
	}
	return 0
}

// plus returns the sum, or 0 if length is.
func plus(n, length int) int {
	if length == 0 {
		return 0
	}
	return n + length
}

// quoteString returns the length of '[…]', '!…!' and the like, from the quote on.
func (s *scanner) quoteString(rest string) int {
	if len(rest) < 2 || rest[1] <= ' ' || rest[1] >= utf8.RuneSelf {
		return 0
	}
	end := rest[1:2]
	if i := strings.IndexByte("[{(<", rest[1]); i >= 0 {
		end = "]})>"[i : i+1]
	}
	i := strings.Index(rest[2:], end+"'")
	if i < 0 {
		return 0
	}
	return s.apart(rest, 2+i+2)
}

// dollar returns what begins with a dollar: a string, a parameter, an amount of money.
func (s *scanner) dollar(rest string) (kind, int) {
	switch {
	case s.dollarMoney && len(rest) > 1 && (isDigit(rest[1]) || rest[1] == '.'):
		return number, plus(1, s.number(rest[1:]))
	case len(rest) > 1 && isDigit(rest[1]):
		return param, s.numberedParameter(rest)
	}
	if tag := dollarTag.FindString(rest); tag != "" {
		end := strings.Index(rest[len(tag):], tag)
		if !s.dollarQuotes || end < 0 {
			return str, 0
		}
		return str, s.apart(rest, end+2*len(tag))
	}
	if s.dollarNames {
		return param, plus(1, s.wordLength(rest[1:]))
	}
	return param, 0
}

// numberedParameter returns the length of $1, :1 or ?1; 0 if it is more than that.
func (s *scanner) numberedParameter(rest string) int {
	n := 1
	for n < len(rest) && isDigit(rest[n]) {
		n++
	}
	if n > 1+maxParameterDigits || n < len(rest) && rest[n] == '.' {
		return 0
	}
	return s.apart(rest, n)
}

// parameter returns what begins with @, : or ?: a parameter, a variable, or an operator.
func (s *scanner) parameter(rest string) (kind, int) {
	switch {
	case rest[0] == '?' && len(rest) > 1 && isDigit(rest[1]) && s.numbered:
		return param, s.numberedParameter(rest)
	case rest[0] == '?':
		return param, 1
	case strings.HasPrefix(rest, "::"):
		return symbol, 2
	}
	sign := len(rest) - len(strings.TrimLeft(rest, rest[:1]))
	switch {
	case rest[0] == '@' && sign > 2:
		return symbol, 0
	case sign == len(rest):
		return symbol, 1
	}
	behind := rest[0] == ':' && s.behindValue()
	if n := s.wordLength(rest[sign:]); n > 0 && !behind {
		return param, s.apart(rest, sign+n)
	}
	if rest[0] == ':' && isDigit(rest[1]) && s.numbered && !behind {
		return param, s.numberedParameter(rest)
	}
	return symbol, 1
}

// behindValue says whether what is before is a value, so that a colon is an operator: a:b, a[b:c], JSON_OBJECT('a': 12345).
func (s *scanner) behindValue() bool {
	last, ok := s.last()
	switch last.kind {
	case symbol:
		return last.text == ")" || last.text == "]"
	case word:
		return !isKeyword(last.text)
	}
	return ok
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
