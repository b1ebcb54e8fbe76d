package sqltext

import (
	"fmt"
	"strings"
	"testing"
)

// systems are one of each dialect.
var systems = []string{"postgresql", "mysql", "sqlite", "microsoft.sql_server", "oracle.db", "clickhouse", "snowflake", "trino", "other_sql"}

// TestClean has the text that is to come out; an empty one is a refusal.
func TestClean(t *testing.T) {
	const every = "" // in every dialect
	for _, c := range []struct {
		systems string
		text    string
		want    string
	}{
		// Nothing to hide.
		{every, "SELECT a, b.c FROM t1 AS b WHERE x IS NULL;\n", "SELECT a, b.c FROM t1 AS b WHERE x IS NULL;\n"},
		{every, "SELECT ?, ? FROM t WHERE a IN (?, ?, ?)", "SELECT ?, ? FROM t WHERE a IN (?, ?, ?)"},
		{every, "UPDATE t SET a = a + b - c * d / e % f WHERE g <> h AND i != j", "UPDATE t SET a = a + b - c * d / e % f WHERE g <> h AND i != j"},
		{every, "SELECT größe FROM straße", "SELECT größe FROM straße"},
		{"postgresql cockroachdb other_sql clickhouse snowflake oracle.db", "SELECT * FROM t WHERE a = $1 AND b = :name AND c = @p1", "SELECT * FROM t WHERE a = $1 AND b = :name AND c = @p1"},
		{"sqlite microsoft.sql_server", "SELECT ?1, :1, :name, @p1, $name", "SELECT ?1, :1, :name, @p1, $name"},
		{"oracle.db snowflake", "SELECT :1, :name FROM dual", "SELECT :1, :name FROM dual"},
		{"postgresql", "SELECT a::text, b -> $1 ->> $2, c @> d, e #>> f, g ? h, i ?| j FROM t", "SELECT a::text, b -> $1 ->> $2, c @> d, e #>> f, g ? h, i ?| j FROM t"},
		{"mysql", "SET @a := b, @@session.c = d", "SET @a := b, @@session.c = d"},
		{"microsoft.sql_server", "SELECT [a b].[c]]d] FROM #temp WHERE $action = @@rowcount", "SELECT [a b].[c]]d] FROM #temp WHERE $action = @@rowcount"},
		{"mysql sqlite other_sql clickhouse", "SELECT `a b`.`it's` FROM `t`", "SELECT `a b`.`it's` FROM `t`"},
		{"postgresql oracle.db trino snowflake", `SELECT "it's", U&"a" FROM "a ""b"""`, `SELECT "it's", U&"a" FROM "a ""b"""`},

		// Literals.
		{every, "SELECT 'secret', 'it''s secret', '' FROM t", "SELECT ?, ?, ? FROM t"},
		{every, "SELECT 1, 1.5, .5, 1., 1e5, 1.5E-3, 0xFF, 1_000_000, 0b101, 0o17, 007, -42, price/2.50, a+1 FROM t", "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, -?, price/?, a+? FROM t"},
		{every, "SELECT * FROM t WHERE a IN (1, 2, 3) AND b IN ('x') AND c NOT IN ('a','b') AND d IN (1, e) AND f IN (1, ?)", "SELECT * FROM t WHERE a IN (?) AND b IN (?) AND c NOT IN (?) AND d IN (?, e) AND f IN (?, ?)"},
		{every, "SELECT DATE '2020-01-01', DATE'2020-01-01', INTERVAL '1' DAY, TRUE, false FROM t", "SELECT DATE ?, DATE?, INTERVAL ? DAY, ?, ? FROM t"},
		{every, "SELECT N'secret', x'DEADBEEF', B'101', U&'secret' FROM t", "SELECT ?, ?, ?, ? FROM t"},
		{every, "INSERT INTO t (a) VALUES (1), ('2'); UPDATE t SET a = 'b'", "INSERT INTO t (a) VALUES (?), (?); UPDATE t SET a = ?"},
		{every, "SELECT 'a\nb' FROM t", "SELECT ? FROM t"},
		{every, "SELECT 'x' name, 'y' COLLATE c, 'z' LIKE 'q' ESCAPE '!' FROM t", "SELECT ? name, ? COLLATE c, ? LIKE ? ESCAPE ? FROM t"},
		{every, "ALTER USER joe PASSWORD 'tiger'", "ALTER USER joe PASSWORD ?"},
		{"postgresql other_sql clickhouse", "DO $$ BEGIN secret END $$", "DO ?"},
		{"postgresql other_sql clickhouse", "SELECT $tag$ it's $$ a $other$ secret $tag$, b FROM t", "SELECT ?, b FROM t"},
		{"postgresql", `SELECT E'it\'s secret', e'\\', 'C:\' FROM t`, "SELECT ?, ?, ? FROM t"},
		{"postgresql", "SELECT a[1:2], ARRAY[1, 'x'], '{1,2}'::int[], 'a' 'b' FROM t", "SELECT a[?:?], ARRAY[?, ?], ?::int[], ? ? FROM t"},
		{"mysql", `SELECT "secret", "it's", "a""b", 'it\'s', _utf8mb4'x', X'4D', x from t where a="b"`, "SELECT ?, ?, ?, ?, _utf8mb4?, ?, x from t where a=?"},
		{"sqlite microsoft.sql_server other_sql", `SELECT "a"."b" FROM "t" WHERE c = "secret"`, `SELECT "a"."b" FROM "t" WHERE c = ?`},
		{"microsoft.sql_server", "SELECT $12.50, $1, 0x, [it's] FROM t WHERE a=N'it''s'", "SELECT ?, ?, ?, [it's] FROM t WHERE a=?"},
		{"oracle.db", "SELECT q'[it's secret]', nq'!it's!', Q'(a)', q'{a}b}', q'<a>', q'xaxx', 1.5f, 2d FROM dual", "SELECT ?, ?, ?, ?, ?, ?, ?, ? FROM dual"},
		{"oracle.db", "BEGIN a := 'secret'; p(1, b => 'x'); END;", "BEGIN a := ?; p(?, b => ?); END;"},
		{"snowflake", `SELECT 'it\'s', $$ it's $$, a:b FROM t // it's secret`, "SELECT ?, ?, a:b FROM t"},
		{"clickhouse", `SELECT 'it\'s', [1, 'x'], {id:UInt8} FROM t`, "SELECT ?, [?, ?], {id:UInt8} FROM t"},
		{"oracle.db microsoft.sql_server", "SELECT JSON_OBJECT('a':12345, 'b' :12345) FROM t", "SELECT JSON_OBJECT(?:?, ? :?) FROM t"},
		{"postgresql", "INSERT INTO t VALUES (:1, :123456789)", "INSERT INTO t VALUES (:?, :?)"},

		// Comments.
		{every, "SELECT a -- secret's\nFROM t -- secret", "SELECT a \nFROM t"},
		{every, "/* secret's */ SELECT a/* secret */FROM/**/t /* 'x */", "SELECT a FROM t"},
		{every, "SELECT a FROM t -- $1 /*\n", "SELECT a FROM t"},
		{"postgresql microsoft.sql_server", "SELECT /* a /* b */ secret */ c FROM t", "SELECT  c FROM t"},
		{"mysql", "SELECT a # it's secret\nFROM t /*!50000 secret */", "SELECT a \nFROM t"},
		{"mysql snowflake clickhouse other_sql trino", "SELECT /* a /* b */ secret */ c FROM t", ""},
		{"sqlite oracle.db", "SELECT /* a /* b */ secret */ c FROM t", ""},
		{every, "SELECT a FROM t -- secret\rWHERE b", ""},
		{"mysql", "SELECT 5--secret", ""},
		{"postgresql", "SELECT a // secret", ""},
		{"mysql", "SELECT /*! 'x*/ secret /* ' */ a", ""},

		// Two ways to read it.
		{"mysql", `SELECT 'C:\' AND b = ' secret -- '`, ""},
		{"mysql", `SELECT 'C:\' AND b = 'secret -- '`, ""},
		{"mysql", `SELECT 'C:\', 'secret', '\'`, ""},
		{"mysql", `SELECT "a\", ' secret", 'x' -- '`, "SELECT ?, ?"}, // not with ANSI_QUOTES
		{"mysql", `SELECT "a\" , " secret ", 'x' -- "`, ""},
		{"postgresql", `SELECT 'C:\' AND b = ' secret -- '`, ""},
		{"postgresql", `SELECT 'C:\', ' secret -`, ""},
		{"sqlite oracle.db microsoft.sql_server trino", `SELECT 'C:\' , 'secret' FROM t`, "SELECT ? , ? FROM t"},
		{"other_sql", "SELECT '''it''s' secret 'x'''", ""},
		{"other_sql sqlite oracle.db", "SELECT a # it's secret", ""},
		{"postgresql trino", "SELECT `a`", ""},
		{"mysql", "SELECT q'[it's secret]'", ""},
		{every, "SELECT r'secret'", ""},
		{"oracle.db", "CREATE USER joe IDENTIFIED BY tiger", ""},
		{"sqlite", "PRAGMA key = tiger", ""},
		{"sqlite", "PRAGMA main.rekey = tiger", ""},

		// Broken.
		{every, "", ""},
		{every, " -- nothing", ""},
		{every, "secret", ""},
		{every, "SELECT 1; secret", ""},
		{every, "secret SELECT", ""},
		{every, "SELECT 'secret", ""},
		{every, "SELECT 'it's secret' FROM t", ""},
		{every, "SELECT 'my' secret 'word' FROM t", ""},
		{every, "SELECT a'secret'b FROM t", ""},
		{every, "SELECT 'secret'5", ""},
		{every, "SELECT 5secret", ""},
		{every, "SELECT 1.2.3.4", ""},
		{every, "SELECT 0xsecret", ""},
		{every, `SELECT "secret`, ""},
		{every, "SELECT a /* secret", ""},
		{every, "SELECT a FROM t WHERE b IN (1, 2", ""},
		{every, "SELECT a) FROM t", ""},
		{every, "SELECT (a] FROM t", ""},
		{every, "SELECT $$secret", ""},
		{every, "SELECT $tag$secret$other$", ""},
		{every, "SELECT \\secret", ""},
		{every, "SELECT a\x00'secret'", ""},
		{every, "SELECT '\xff' FROM t", ""},
		{every, "SELECT a\u00a0FROM t", ""},
		{every, "SELECT £5", ""},
		{"postgresql", "SELECT $123456789, $1.5", ""},
		{every, "SELECT '" + strings.Repeat("x", maxText) + "'", ""},
		{"oracle.db", "SELECT q'[secret]", ""},
		{"microsoft.sql_server", "SELECT [secret", ""},
		{"postgresql", `SELECT E'secret\'`, ""},
	} {
		names := systems
		if c.systems != every {
			names = strings.Fields(c.systems)
		}
		for _, system := range names {
			t.Run(fmt.Sprintf("%s/%.40s", system, c.text), func(t *testing.T) {
				got, ok := Clean(system, c.text)
				if got.Text != c.want || ok != (c.want != "") {
					t.Errorf("Clean(%q) = %q, %v, want %q", c.text, got.Text, ok, c.want)
				}
			})
		}
	}
}

// TestCut: a text that was cut anywhere shows nothing that the whole one hides.
func TestCut(t *testing.T) {
	const text = `SELECT 'secret', 12345, E'it\'s secret' /* secret */ FROM t WHERE a IN ('secret', $$secret$$) AND b = "c" -- secret`
	for _, system := range systems {
		for n := range len(text) {
			if got, _ := Clean(system, text[:n]); strings.Contains(got.Text+got.Summary, "sec") || strings.ContainsAny(got.Text, "12345") {
				t.Errorf("%s: %q gives %q", system, text[:n], got.Text)
			}
		}
	}
}
