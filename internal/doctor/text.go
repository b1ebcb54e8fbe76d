package doctor

import (
	"fmt"
	"io"
	"strings"
)

// Colors of ECMA-48 terminals, for the status column.
var colors = map[Status]string{OK: "\x1b[32m", Warning: "\x1b[33m", Missing: "\x1b[31m"}

const colorOff = "\x1b[0m"

// WriteText writes the checks as an aligned table for people: status, name and what was
// found on one line, then what follows from it and the remedy, each on a line of its
// own. With color the status is in green, yellow or red.
func WriteText(w io.Writer, checks []Check, color bool) error {
	name, status := 0, len(Missing)
	for _, c := range checks {
		name = max(name, len(c.Name))
	}
	var b strings.Builder
	indent := strings.Repeat(" ", status+2+name+2)
	for _, c := range checks {
		word := fmt.Sprintf("%-*s", status, c.Status)
		if color {
			word = colors[c.Status] + word + colorOff
		}
		fmt.Fprintf(&b, "%s  %-*s  %s\n", word, name, c.Name, c.Detail)
		if c.Consequence != "" {
			fmt.Fprintf(&b, "%s→ %s\n", indent, c.Consequence)
		}
		if c.Remedy != "" {
			fmt.Fprintf(&b, "%sremedy: %s\n", indent, c.Remedy)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
