package sqltext

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSummary(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, c := range []struct {
		text string
		want Statement
	}{
		// https://opentelemetry.io/docs/specs/semconv/db/database-spans/#generating-a-summary-of-the-query
		{"SELECT *\nFROM   wuser_table\nWHERE  username = ?", Statement{Summary: "SELECT wuser_table", Operation: "SELECT", Collection: "wuser_table"}},
		{"INSERT INTO shipping_details (order_id, address) SELECT order_id, address FROM orders WHERE order_id = ?", Statement{Summary: "INSERT shipping_details SELECT orders"}},
		{"SELECT * FROM songs, artists WHERE songs.artist_id == artists.id", Statement{Summary: "SELECT songs artists", Operation: "SELECT"}},
		{"SELECT order_date FROM (SELECT * FROM orders o JOIN customers c ON o.customer_id = c.customer_id)", Statement{Summary: "SELECT SELECT orders customers"}},
		{`SELECT * FROM "song list", artists`, Statement{Summary: `SELECT "song list" artists`, Operation: "SELECT"}},

		{"select id from public.songs as s where id = $1", Statement{Summary: "select public.songs", Operation: "select", Collection: "public.songs"}},
		{`SELECT 1`, Statement{Summary: "SELECT", Operation: "SELECT"}},
		{`SELECT * FROM a.b."c d" x`, Statement{Summary: `SELECT a.b."c d"`, Operation: "SELECT", Collection: `a.b."c d"`}},
		{"INSERT INTO songs(title) VALUES ($1), ($2) ON CONFLICT (title) DO UPDATE SET title = excluded.title RETURNING id", Statement{Summary: "INSERT songs", Operation: "INSERT", Collection: "songs"}},
		{"INSERT INTO songs DEFAULT VALUES", Statement{Summary: "INSERT songs", Operation: "INSERT", Collection: "songs"}},
		{"UPDATE songs SET title = $1 WHERE id = $2", Statement{Summary: "UPDATE songs", Operation: "UPDATE", Collection: "songs"}},
		{"UPDATE ONLY songs s SET title = a.name FROM artists a", Statement{Summary: "UPDATE songs artists", Operation: "UPDATE"}},
		{"DELETE FROM songs WHERE id IN (SELECT id FROM gone)", Statement{Summary: "DELETE songs SELECT gone"}},
		{"DELETE FROM songs USING artists WHERE true", Statement{Summary: "DELETE songs artists", Operation: "DELETE"}},
		{"MERGE INTO songs USING news ON songs.id = news.id WHEN MATCHED THEN UPDATE SET a = 1", Statement{Summary: "MERGE songs news", Operation: "MERGE"}},
		{"SELECT * FROM songs FOR UPDATE", Statement{Summary: "SELECT songs", Operation: "SELECT", Collection: "songs"}},
		{"SELECT a FROM x UNION ALL SELECT b FROM y", Statement{Summary: "SELECT x SELECT y"}},
		{"SELECT * FROM a LEFT OUTER JOIN b USING (id) CROSS JOIN c", Statement{Summary: "SELECT a b c", Operation: "SELECT"}},
		{"WITH RECURSIVE t(n) AS (SELECT 1 UNION SELECT n FROM t), u AS (SELECT * FROM v) SELECT * FROM t, u, w", Statement{Summary: "SELECT SELECT SELECT v SELECT w"}},
		{"WITH moved AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM moved", Statement{Summary: "DELETE a INSERT b SELECT"}},
		{"SELECT extract(year FROM born), trim(both FROM name) FROM people WHERE a IS DISTINCT FROM b", Statement{Summary: "SELECT people", Operation: "SELECT", Collection: "people"}},
		{"SELECT * FROM generate_series($1, $2) n, songs", Statement{Summary: "SELECT songs", Operation: "SELECT", Collection: "songs"}},
		{"SELECT replace(a, b, c) FROM songs", Statement{Summary: "SELECT songs", Operation: "SELECT", Collection: "songs"}},
		{"CREATE TABLE IF NOT EXISTS songs (id int PRIMARY KEY, title text)", Statement{Summary: "CREATE TABLE songs", Operation: "CREATE TABLE", Collection: "songs"}},
		{"CREATE UNIQUE INDEX CONCURRENTLY i ON songs (title)", Statement{Summary: "CREATE INDEX i songs", Operation: "CREATE INDEX"}},
		{"CREATE OR REPLACE VIEW v AS SELECT * FROM songs", Statement{Summary: "CREATE VIEW v SELECT songs"}},
		{"DROP TABLE IF EXISTS songs, artists", Statement{Summary: "DROP TABLE songs artists", Operation: "DROP TABLE"}},
		{"TRUNCATE songs", Statement{Summary: "TRUNCATE songs", Operation: "TRUNCATE", Collection: "songs"}},
		{"BEGIN", Statement{Summary: "BEGIN", Operation: "BEGIN"}},
		{"START TRANSACTION READ ONLY", Statement{Summary: "START TRANSACTION", Operation: "START TRANSACTION"}},
		{"SET search_path TO a, b", Statement{Summary: "SET", Operation: "SET"}},
		{"SHOW TABLES", Statement{Summary: "SHOW", Operation: "SHOW"}},
		{"call some_stored_procedure(?)", Statement{Summary: "call some_stored_procedure", Operation: "call", Collection: "some_stored_procedure"}},
		{"EXPLAIN ANALYZE SELECT * FROM songs", Statement{Summary: "EXPLAIN SELECT songs"}},
		{"GRANT SELECT, UPDATE ON songs TO joe", Statement{Summary: "GRANT", Operation: "GRANT"}},
		{"INSERT INTO a VALUES ($1); DELETE FROM b;", Statement{Summary: "INSERT a DELETE b"}},
		{"SELECT * FROM a" + long + ", b" + long, Statement{Summary: "SELECT a" + long, Operation: "SELECT"}},
	} {
		t.Run(c.text, func(t *testing.T) {
			got, ok := Clean("postgresql", c.text)
			if !ok {
				t.Fatal("refused")
			}
			got.Text = ""
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
