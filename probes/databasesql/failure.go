package databasesql

import (
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// failure is the error that a call returned.
type failure struct {
	types   []string // of the error and of what it wraps, outermost first; unknown ones are left out
	message string   // "" if it could not be read
	code    string   // the database's, "" if it is none of those
}

// failureOf reads an event's error, nil if there is none.
func failureOf(ev *sqlSqlEvent, message, code string, typeName func(uint64) (string, bool)) *failure {
	if ev.ErrorTypes[0] == 0 {
		return nil
	}
	f := &failure{message: message, code: code}
	for _, addr := range ev.ErrorTypes {
		if name, ok := typeName(addr); ok && addr != 0 {
			f.types = append(f.types, name)
		}
	}
	switch {
	case ev.Numbered == 0:
	case slices.Contains(f.types, errno):
		if f.message == "" {
			f.message = syscall.Errno(ev.ErrorNumber).Error()
		}
	default:
		f.code = strconv.FormatInt(ev.ErrorNumber, 10)
	}
	return f
}

const errno = "syscall.Errno"

// errorType is the database's code, else the name of the innermost error or of its type, if that tells more than that there was one.
func (f *failure) errorType() string {
	if f.code != "" {
		return f.code
	}
	wrappers := []string{"*fmt.wrapError", "*fmt.wrapErrors", "*errors.joinError", "*os.SyscallError", errno}
	for _, name := range slices.Backward(f.types) {
		switch {
		case slices.Contains(wrappers, name):
		case name != errorString:
			return name
		case sentinel(f.message) != "":
			return sentinel(f.message)
		}
	}
	if len(f.types) == 0 {
		return "_OTHER"
	}
	return f.types[len(f.types)-1]
}

const errorString = "*errors.errorString"

// sentinel names errors that all have the same type, by what they say.
func sentinel(message string) string {
	switch message {
	case "context canceled":
		return "context.Canceled"
	case "driver: bad connection":
		return "driver.ErrBadConn"
	case "sql: transaction has already been committed or rolled back":
		return "sql.ErrTxDone"
	case "sql: connection is already closed":
		return "sql.ErrConnDone"
	}
	return ""
}

// description is the error's text, without what it may quote of a query or its arguments: what is between quotes, but PostgreSQL's
// names of constraints and relations, and what SQLite tells behind a colon.
func (f *failure) description(sys system) string {
	text := f.message
	if slices.Contains(f.types, "context.deadlineExceededError") {
		text = "context deadline exceeded"
	}
	plain := strings.ReplaceAll(text, "n't ", "n_t ") // no quote, in "Table 'shop.users' doesn't exist"
	quotes := `'"` + "`"
	if sys.name == "postgresql" && f.namesRelation() {
		quotes = `'`
	}
	first, last := strings.IndexAny(plain, quotes), strings.LastIndexAny(plain, quotes)
	switch colon := strings.LastIndex(text, ": "); {
	case first >= 0 && first == last:
		return text[:first] + "?"
	case first >= 0:
		return text[:first+1] + "?" + text[last:]
	case sys.name == "sqlite" && colon >= 0 && !strings.Contains(text, "constraint failed"):
		return text[:colon] + ": ?"
	}
	return text
}

// namesRelation says whether what PostgreSQL puts between double quotes is a constraint, relation, database or role, not what it was
// sent: https://www.postgresql.org/docs/current/errcodes-appendix.html
func (f *failure) namesRelation() bool {
	for _, class := range []string{"23", "28", "3D", "42P01", "42P07"} {
		if strings.HasPrefix(f.code, class) {
			return true
		}
	}
	return false
}
