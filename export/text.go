package export

import (
	"strings"
	"unicode"
)

// printable replaces everything in s that could act on a terminal instead of being shown: control characters, and with them
// escape sequences, invalid UTF-8, and invisible or direction-changing characters.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
