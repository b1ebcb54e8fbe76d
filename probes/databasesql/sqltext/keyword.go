package sqltext

import (
	"strings"

	"github.com/DataDog/go-sqllexer"
)

// isKeyword says whether a word has a meaning in SQL, so that it is no name and no alias.
func isKeyword(text string) bool {
	switch sqllexer.New(text).Scan().Type {
	case sqllexer.COMMAND, sqllexer.KEYWORD, sqllexer.BOOLEAN, sqllexer.NULL, sqllexer.PROC_INDICATOR, sqllexer.CTE_INDICATOR, sqllexer.ALIAS_INDICATOR:
		return true
	}
	return wordOperators[strings.ToUpper(text)]
}
