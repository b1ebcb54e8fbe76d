package databasesql

import (
	"net/url"
	"strconv"
	"strings"
)

// source is where a database is: what is known of it.
type source struct {
	host      string // or the path of a socket
	port      int64
	namespace string // the database's name
}

// parseSource reads what a data source name says of the place; what it does not understand it leaves out. Users and passwords are
// looked at by nobody. Forms: URLs, words ("host=db port=5432 dbname=shop", libpq), pairs ("server=db;database=shop", ODBC), a file
// name with parameters (SQLite).
func parseSource(sys system, text string) source {
	switch {
	case sys.name == "sqlite":
		return source{namespace: fileOf(text)}
	case strings.Contains(text, "://"):
		return parseURL(text)
	case sys.name == "postgresql":
		return fromPairs(words(text))
	case sys.name == "microsoft.sql_server":
		return fromPairs(semicolons(text))
	}
	return source{}
}

// fileOf is the file's name of a SQLite data source: "file:shop.db?mode=ro".
func fileOf(text string) string {
	text, _, _ = strings.Cut(text, "?")
	return strings.TrimPrefix(strings.TrimPrefix(text, "file:"), "//")
}

// parseURL reads scheme://user:password@host:port/database?parameters; parameters come before the rest, of several hosts the
// first counts.
func parseURL(text string) source {
	scheme, rest, _ := strings.Cut(text, "://")
	end := strings.IndexAny(rest+"/", "/?#")
	if strings.Contains(rest[end:], "@") {
		return source{} // what looks like the host may be a part of a password that is not escaped
	}
	authority := rest[:end]
	authority = authority[strings.LastIndexByte(authority, '@')+1:]
	authority, _, _ = strings.Cut(authority, ",")
	u, err := url.Parse(scheme + "://" + authority + rest[end:])
	if err != nil {
		return source{}
	}
	params := map[string]string{}
	for key, values := range u.Query() {
		params[strings.ToLower(key)] = values[0]
	}
	s := fromPairs(params)
	if s.host == "" {
		s.host = u.Hostname()
	}
	if s.port == 0 {
		s.port = parsePort(u.Port())
	}
	if s.namespace == "" && scheme != "sqlserver" { // its path is the instance
		s.namespace = strings.Trim(u.Path, "/")
	}
	return s
}

// fromPairs takes the place from parameters with lower-case names.
func fromPairs(params map[string]string) source {
	first := func(names ...string) string {
		for _, name := range names {
			if v := params[name]; v != "" {
				v, _, _ = strings.Cut(v, ",")
				return v
			}
		}
		return ""
	}
	s := source{
		host:      first("host", "hostaddr", "server", "data source"),
		port:      parsePort(first("port")),
		namespace: first("dbname", "database", "initial catalog"),
	}
	if schema := first("search_path"); schema != "" && s.namespace != "" { // https://opentelemetry.io/docs/specs/semconv/db/postgresql/
		s.namespace += "|" + schema
	}
	s.host = strings.TrimPrefix(s.host, "tcp:")
	s.host, _, _ = strings.Cut(s.host, `\`) // SQL Server's instance
	return s
}

// words splits libpq's form, in which values may be quoted and characters escaped:
// https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-KEYWORD-VALUE
func words(text string) map[string]string {
	params := map[string]string{}
	for {
		key, rest, ok := strings.Cut(text, "=")
		if !ok {
			return params
		}
		rest = strings.TrimLeft(rest, " \t\n")
		value, after, ok := word(rest)
		if !ok {
			return params
		}
		params[strings.ToLower(strings.TrimSpace(key))] = value
		text = after
	}
}

// word takes a value from the beginning of text; false if its quote has no end.
func word(text string) (value, rest string, ok bool) {
	var b strings.Builder
	quoted := strings.HasPrefix(text, "'")
	if quoted {
		text = text[1:]
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case quoted && c == '\'', !quoted && strings.IndexByte(" \t\n", c) >= 0:
			return b.String(), text[i+1:], true
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "", !quoted
}

// semicolons splits ODBC's form, without values in braces.
func semicolons(text string) map[string]string {
	params := map[string]string{}
	for _, pair := range strings.Split(text, ";") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			params[strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
	}
	return params
}

// parsePort returns 0 for what is no port.
func parsePort(text string) int64 {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return int64(n)
}
