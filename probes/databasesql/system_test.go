package databasesql

import "testing"

func TestSystemOf(t *testing.T) {
	for _, tt := range []struct{ typ, driver, system string }{
		{"*github.com/lib/pq.Connector", "github.com/lib/pq", "postgresql"},
		{"*github.com/lib/pq.Driver", "github.com/lib/pq", "postgresql"},
		{"*github.com/jackc/pgx/v5/stdlib.driverConnector", "github.com/jackc/pgx/v5/stdlib", "postgresql"},
		{"*github.com/go-sql-driver/mysql.connector", "github.com/go-sql-driver/mysql", "mysql"},
		{"*github.com/mattn/go-sqlite3.SQLiteDriver", "github.com/mattn/go-sqlite3", "sqlite"},
		{"*github.com/ncruces/go-sqlite3/driver.SQLite", "github.com/ncruces/go-sqlite3/driver", "sqlite"},
		{"*modernc.org/sqlite.Driver", "modernc.org/sqlite", "sqlite"},
		{"*github.com/microsoft/go-mssqldb.Connector", "github.com/microsoft/go-mssqldb", "microsoft.sql_server"},
		{"github.com/godror/godror.connector", "github.com/godror/godror", "oracle.db"},
		{"*github.com/sijms/go-ora/v2.OracleConnector", "github.com/sijms/go-ora/v2", "oracle.db"},
		{"*github.com/ClickHouse/clickhouse-go/v2.stdOpener", "github.com/ClickHouse/clickhouse-go/v2", "clickhouse"},
		{"github.com/snowflakedb/gosnowflake.SnowflakeDriver", "github.com/snowflakedb/gosnowflake", "snowflake"},
		{"*github.com/lib/pqother.Driver", "github.com/lib/pqother", "other_sql"},
		{"*example.com/x.Driver[example.com/y.Z]", "example.com/x", "other_sql"},
		{"int", "", "other_sql"},
		{"", "", "other_sql"},
	} {
		driver := packageOf(tt.typ)
		if got := systemOf(driver).name; driver != tt.driver || got != tt.system {
			t.Errorf("%s: %s of %q, want %s of %q", tt.typ, got, driver, tt.system, tt.driver)
		}
	}
}
