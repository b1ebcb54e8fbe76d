package sqltext

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// quotings write a value as a literal of a dialect.
var quotings = []struct {
	systems string
	quote   func(string) string
}{
	{"postgresql mysql sqlite microsoft.sql_server oracle.db clickhouse snowflake trino other_sql", func(v string) string { return "'" + strings.ReplaceAll(escaped(v), "'", "''") + "'" }},
	{"postgresql mysql clickhouse snowflake", func(v string) string { return "'" + strings.ReplaceAll(escaped(v), "'", `\'`) + "'" }},
	{"mysql", func(v string) string { return `"` + strings.ReplaceAll(escaped(v), `"`, `\"`) + `"` }},
	{"postgresql", func(v string) string { return "E'" + strings.ReplaceAll(escaped(v), "'", `\'`) + "'" }},
	{"postgresql other_sql clickhouse", func(v string) string { return "$q$" + strings.ReplaceAll(v, "$", "") + "$q$" }},
	{"oracle.db", func(v string) string { return "q'[" + strings.ReplaceAll(v, "]", "") + "]'" }},
	{"postgresql mysql sqlite microsoft.sql_server oracle.db clickhouse snowflake trino other_sql", func(v string) string { return "/*" + strings.ReplaceAll(v, "/", "") + "*/ a" }},
	{"postgresql mysql sqlite microsoft.sql_server oracle.db clickhouse snowflake trino other_sql", func(v string) string { return "-- " + strings.ReplaceAll(v, "\n", "") + "\n a" }},
}

// escaped doubles backslashes, which is right for a server that escapes with them and harmless for one that does not.
func escaped(v string) string { return strings.ReplaceAll(v, `\`, `\\`) }

// FuzzSecret: a secret in a literal or a comment, whatever stands around it in there, never appears in what may be shown.
func FuzzSecret(f *testing.F) {
	for _, s := range []string{"", "'", "it's", `\`, `\'`, `"`, "--", "/*", "*/", "$$", "]'", "\n", "' secret '", "''", "`", "#"} {
		f.Add(s, s, "x")
		f.Add("", s, "x, 1, 'y'")
	}
	f.Fuzz(func(t *testing.T, before, after, rest string) {
		const secret = "hunter2"
		if strings.Contains(rest, secret) || strings.ContainsAny(rest, "'\"`$\\-/#[{(") { // what would change where the literal ends
			t.Skip("the rest is to have no quotes")
		}
		for _, q := range quotings {
			for _, system := range strings.Fields(q.systems) {
				text := "SELECT a, " + q.quote(before+secret+after) + ", " + rest
				got, _ := Clean(system, text)
				if strings.Contains(got.Text+got.Summary+got.Operation+got.Collection, secret) {
					t.Errorf("%s: %q gives %+v", system, text, got)
				}
			}
		}
	})
}

// FuzzClean: what comes out of any text is text, is short enough, has no comment, no string and no number, and comes out of itself.
func FuzzClean(f *testing.F) {
	f.Add("SELECT 'a', 1 FROM t -- c")
	f.Add("INSERT INTO a VALUES (1, $1, ?, :b, @c, $$d$$)")
	f.Fuzz(func(t *testing.T, text string) {
		for _, system := range systems {
			got, ok := Clean(system, text)
			if !ok {
				continue
			}
			if !utf8.ValidString(got.Text) || len(got.Text) > len(text) || utf8.RuneCountInString(got.Summary) > maxSummary {
				t.Errorf("%s: %q gives %+v", system, text, got)
			}
			if strings.Contains(got.Text, "/*") || strings.Contains(got.Text, "--") {
				t.Errorf("%s: %q leaves a comment: %q", system, text, got.Text)
			}
			again, ok := Clean(system, got.Text)
			if !ok || again.Text != got.Text {
				t.Errorf("%s: %q gives %q, which gives %q, %v", system, text, got.Text, again.Text, ok)
			}
		}
	})
}
