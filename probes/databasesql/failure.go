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

// errorType is the database's code, else the type of the innermost error that tells more than that there was one.
func (f *failure) errorType() string {
	if f.code != "" {
		return f.code
	}
	wrappers := []string{"*fmt.wrapError", "*os.SyscallError", errno}
	for _, passed := range [][]string{append(wrappers, "*errors.errorString"), wrappers, nil} {
		for _, name := range slices.Backward(f.types) {
			if !slices.Contains(passed, name) {
				return name
			}
		}
	}
	return "_OTHER"
}

// description is the error's text, without what it may quote of a query or its arguments: PostgreSQL names in double quotes tables
// and constraints, but in errors of syntax and of data (class 22, https://www.postgresql.org/docs/current/errcodes-appendix.html)
// what it was sent. Others quote either.
func (f *failure) description(sys system) string {
	text := f.message
	if text == "" {
		return ""
	}
	quotes := `'"` + "`"
	if sys.name == "postgresql" && f.code != "" && f.code != "42601" && !strings.HasPrefix(f.code, "22") {
		quotes = `'`
	}
	plain := strings.ReplaceAll(text, "n't ", "n_t ") // no quote, in "Table 'shop.users' doesn't exist"
	first, last := strings.IndexAny(plain, quotes), strings.LastIndexAny(plain, quotes)
	if first < 0 {
		return text
	}
	if first == last {
		return text[:first] + "?"
	}
	return text[:first+1] + "?" + text[last:]
}
