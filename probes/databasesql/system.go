package databasesql

import "strings"

// otherSQL is the db.system.name of what has none of its own.
const otherSQL = "other_sql"

// system is a database by what its conventions call it: https://opentelemetry.io/docs/specs/semconv/db/
type system struct {
	name string // db.system.name
	port int64  // default of its servers, 0: none
}

// systemOf names the database that a driver's package is for.
func systemOf(driver string) system {
	drivers := []struct {
		path   string
		system system
	}{
		{"github.com/lib/pq", system{"postgresql", 5432}},
		{"github.com/jackc/pgx", system{"postgresql", 5432}},
		{"github.com/go-sql-driver/mysql", system{"mysql", 3306}},
		{"github.com/mattn/go-sqlite3", system{"sqlite", 0}},
		{"github.com/ncruces/go-sqlite3", system{"sqlite", 0}},
		{"github.com/glebarez/go-sqlite", system{"sqlite", 0}},
		{"modernc.org/sqlite", system{"sqlite", 0}},
		{"github.com/microsoft/go-mssqldb", system{"microsoft.sql_server", 1433}},
		{"github.com/denisenkom/go-mssqldb", system{"microsoft.sql_server", 1433}},
		{"github.com/godror/godror", system{"oracle.db", 1521}},
		{"github.com/sijms/go-ora", system{"oracle.db", 1521}},
		{"github.com/ClickHouse/clickhouse-go", system{"clickhouse", 9000}},
		{"github.com/snowflakedb/gosnowflake", system{"snowflake", 443}},
		{"github.com/trinodb/trino-go-client", system{"trino", 8080}},
		{"github.com/googleapis/go-sql-spanner", system{"gcp.spanner", 443}},
		{"github.com/ibmdb/go_ibm_db", system{"ibm.db2", 50000}},
		{"github.com/nakagami/firebirdsql", system{"firebirdsql", 3050}},
		{"github.com/SAP/go-hdb", system{"sap.hana", 0}},
	}
	for _, d := range drivers {
		if rest, ok := strings.CutPrefix(driver, d.path); ok && (rest == "" || rest[0] == '/') {
			return d.system
		}
	}
	return system{name: otherSQL}
}

// packageOf is the import path of a type's package: "github.com/lib/pq" of "*github.com/lib/pq.Connector".
func packageOf(typ string) string {
	typ = strings.TrimLeft(typ, "*")
	if i := strings.IndexByte(typ, '['); i >= 0 { // type arguments
		typ = typ[:i]
	}
	i := strings.LastIndexByte(typ, '.')
	return typ[:max(i, 0)]
}
