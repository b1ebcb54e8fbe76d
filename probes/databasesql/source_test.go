package databasesql

import "testing"

func TestParseSource(t *testing.T) {
	for _, tt := range []struct {
		system, text string
		want         source
	}{
		{"postgresql", "postgres://bob:s3cret@db.example:5433/shop?sslmode=disable", source{"db.example", 5433, "shop"}},
		{"postgresql", "postgres://bob:p@ss/w@db/shop", source{}}, // a password that is not escaped: not understood, not shown
		{"postgresql", "postgresql:///shop?host=/run/pg&port=5433", source{"/run/pg", 5433, "shop"}},
		{"postgresql", "postgres://bob@a:1,b:2/shop", source{"a", 1, "shop"}},
		{"postgresql", "postgres://[::1]:5432/shop", source{"::1", 5432, "shop"}},
		{"postgresql", `host=/tmp/x user=bob password='it\'s = secret' dbname=shop port=5433`, source{"/tmp/x", 5433, "shop"}},
		{"postgresql", "host = db.example  dbname = shop", source{"db.example", 0, "shop"}},
		{"postgresql", "password='secret host=db", source{}},
		{"postgresql", "registeredConnConfig0", source{}},
		{"postgresql", "", source{}},
		{"sqlite", "file:shop.db?mode=ro&_auth_pass=secret", source{"", 0, "shop.db"}},
		{"sqlite", "file:///var/lib/shop.db", source{"", 0, "/var/lib/shop.db"}},
		{"sqlite", ":memory:", source{"", 0, ":memory:"}},
		{"sqlite", "/var/lib/shop.db", source{"", 0, "/var/lib/shop.db"}},
		{"microsoft.sql_server", "sqlserver://sa:secret@db:1434/instance?database=shop", source{"db", 1434, "shop"}},
		{"microsoft.sql_server", `Server=db\instance;User Id=sa;Password=secret;Database=shop`, source{"db", 0, "shop"}},
		{"clickhouse", "clickhouse://u:secret@db:9000/shop?dial_timeout=1s", source{"db", 9000, "shop"}},
		{"oracle.db", "oracle://scott:tiger@db:1521/XE", source{"db", 1521, "XE"}},
		{"other_sql", "anything: secret", source{}},
		{"other_sql", "x://%zz", source{}},
	} {
		if got := parseSource(system{name: tt.system}, tt.text); got != tt.want {
			t.Errorf("%s %q: %+v, want %+v", tt.system, tt.text, got, tt.want)
		}
	}
}
