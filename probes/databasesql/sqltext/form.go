package sqltext

import "strings"

// commands are the words that a statement may begin with. What begins otherwise is no SQL that we know, so that nobody knows what
// in it is secret.
var commands = wordSet(`SELECT INSERT UPDATE DELETE REPLACE MERGE UPSERT WITH VALUES TABLE FROM CREATE ALTER DROP TRUNCATE RENAME UNDROP COMMENT
	BEGIN START COMMIT ROLLBACK END ABORT SAVEPOINT RELEASE SET RESET SHOW DESCRIBE DESC EXPLAIN ANALYZE ANALYSE PRAGMA CALL EXEC EXECUTE
	PREPARE DEALLOCATE DECLARE FETCH CLOSE MOVE OPEN COPY LOCK UNLOCK GRANT REVOKE DENY VACUUM REINDEX CLUSTER REFRESH LISTEN NOTIFY UNLISTEN
	DO USE ATTACH DETACH LOAD HANDLER OPTIMIZE CHECK REPAIR FLUSH KILL CHECKPOINT DISCARD REASSIGN IMPORT EXPORT BACKUP RESTORE IF WHILE XA
	PRINT RETURN EXCHANGE SYSTEM`)

// wordOperators stand between two values and are not among the lexer's keywords.
var wordOperators = wordSet(`XOR DIV MOD REGEXP RLIKE GLOB MATCH SIMILAR SOUNDS OVERLAPS UESCAPE COLLATE FOR WHEN THEN CONTAINS OPERATOR`)

// closers has the closing bracket of each opening one.
var closers = map[string]string{"(": ")", "[": "]", "{": "}"}

func wordSet(text string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(text) {
		set[w] = true
	}
	return set
}

// wellFormed says whether brackets match, each statement begins with a command, and strings do not come with bare words between
// them, as they do in a text that has a quote too many.
func wellFormed(tokens []token) bool {
	tokens = significant(tokens)
	return len(tokens) > 0 && bracketsMatch(tokens) && commandsFirst(tokens) && !wordsBetweenStrings(tokens)
}

func bracketsMatch(tokens []token) bool {
	var open []string
	for _, t := range tokens {
		if t.kind != symbol {
			continue
		}
		switch t.text {
		case "(", "[", "{":
			open = append(open, closers[t.text])
		case ")", "]", "}":
			if len(open) == 0 || open[len(open)-1] != t.text {
				return false
			}
			open = open[:len(open)-1]
		}
	}
	return len(open) == 0
}

// commandsFirst does not look into blocks: these also have assignments and calls.
func commandsFirst(tokens []token) bool {
	begins, command := true, ""
	for _, t := range tokens {
		switch {
		case t.kind == symbol && t.text == ";":
			begins = command != "BEGIN" && command != "DECLARE" && command != "CREATE"
		case !begins:
		case (t.kind == symbol || t.kind == param) && strings.Contains("({?=", t.text): // (SELECT …), {? = call …}
		case t.kind == word && commands[strings.ToUpper(t.text)]:
			begins, command = false, strings.ToUpper(t.text)
		default:
			return false
		}
	}
	return command != ""
}

func wordsBetweenStrings(tokens []token) bool {
	words, inside := 0, false // bare words since the last string, which nothing else followed
	for _, t := range tokens {
		switch {
		case t.kind == str && inside && words > 0:
			return true
		case t.kind == str:
			words, inside = 0, true
		case t.kind != word && t.kind != name || isKeyword(t.text):
			inside = false
		default:
			words++
		}
	}
	return false
}

// namesSecret says whether a word of the statement is a password: IDENTIFIED BY tiger (Oracle), PRAGMA key = tiger (SQLCipher).
func namesSecret(tokens []token) bool {
	tokens = significant(tokens)
	for i, t := range tokens[:len(tokens)-1] {
		next := strings.ToUpper(tokens[i+1].text)
		switch strings.ToUpper(t.text) {
		case "IDENTIFIED":
			if next == "BY" {
				return true
			}
		case "PRAGMA", ".":
			if strings.HasSuffix(next, "KEY") && strings.EqualFold(tokens[0].text, "PRAGMA") {
				return true
			}
		}
	}
	return false
}
