package databasesql

import "github.com/remora-agent/remora/probes"

// What is kept of a connector or driver: in the Strings of its value, the host (or host:port, or a socket's path), the database's
// name and a data source name; as its Number the port. Inner is what it wraps.
func connectors() []probes.Value {
	config := func(typ, host, database, port string) probes.Value {
		return probes.Value{Type: typ, Strings: [3]string{host, database, ""}, Number: port}
	}
	source := func(typ, name, driver string) probes.Value {
		return probes.Value{Type: typ, Strings: [3]string{"", "", name}, Inner: driver}
	}
	return []probes.Value{
		source("database/sql.dsnConnector", "dsn", "driver"), // drivers without OpenConnector
		config("*github.com/lib/pq.Connector", "cfg.Host", "cfg.Database", "cfg.Port"),
		config("*github.com/go-sql-driver/mysql.connector", "cfg.Addr", "cfg.DBName", ""),
		source("*github.com/jackc/pgx/v5/stdlib.driverConnector", "name", ""),
		config("github.com/jackc/pgx/v5/stdlib.connector", "ConnConfig.Config.Host", "ConnConfig.Config.Database", "ConnConfig.Config.Port"),
		config("*github.com/jackc/pgx/v5/stdlib.connector", "ConnConfig.Config.Host", "ConnConfig.Config.Database", "ConnConfig.Config.Port"),
		source("*github.com/jackc/pgx/v4/stdlib.driverConnector", "name", ""),
		config("github.com/jackc/pgx/v4/stdlib.connector", "ConnConfig.Config.Host", "ConnConfig.Config.Database", "ConnConfig.Config.Port"),
		source("*modernc.org/sqlite.connector", "dsn", ""),
		config("*github.com/microsoft/go-mssqldb.Connector", "params.Host", "params.Database", "params.Port"),
		config("*github.com/denisenkom/go-mssqldb.Connector", "params.Host", "params.Database", "params.Port"),
		source("github.com/XSAM/otelsql.dsnConnector", "dsn", "driver"),
		source("*github.com/XSAM/otelsql.dsnConnector", "dsn", "driver"),
	}
}

// What is kept of an error: in the Strings of its value, what it says and the database's code (SQLSTATE); as its Number the
// database's or the system's. Inner is the error that it wraps.
func errorValues() []probes.Value {
	number := func(typ, message, number string) probes.Value {
		return probes.Value{Type: typ, Strings: [3]string{message, "", ""}, Number: number}
	}
	code := func(typ, message, code string) probes.Value {
		return probes.Value{Type: typ, Strings: [3]string{message, code, ""}}
	}
	wrapper := func(typ, message, inner string) probes.Value {
		return probes.Value{Type: typ, Strings: [3]string{message, "", ""}, Inner: inner}
	}
	const pgconn = "*github.com/jackc/pgx/v5/pgconn."
	return []probes.Value{
		code("*github.com/lib/pq.Error", "Message", "Code"),
		code(pgconn+"PgError", "Message", "Code"),
		code("*github.com/jackc/pgconn.PgError", "Message", "Code"), // of pgx v4
		number("*github.com/go-sql-driver/mysql.MySQLError", "Message", "Number"),
		number("github.com/mattn/go-sqlite3.Error", "err", "ExtendedCode"),
		number("*modernc.org/sqlite.Error", "msg", "code"),
		number("github.com/microsoft/go-mssqldb.Error", "Message", "Number"),
		number("github.com/denisenkom/go-mssqldb.Error", "Message", "Number"),
		number("*github.com/ClickHouse/clickhouse-go/v2/lib/proto.Exception", "Message", "Code"),
		number("*github.com/sijms/go-ora/v2/network.OracleError", "ErrMsg", "ErrCode"),
		number("*github.com/snowflakedb/gosnowflake.SnowflakeError", "Message", "Number"),
		wrapper("*fmt.wrapError", "msg", "err"),
		wrapper("*fmt.wrapErrors", "msg", "errs[0]"),
		wrapper("*errors.joinError", "", "errs[0]"),
		wrapper(pgconn+"ConnectError", "", "err"),
		wrapper(pgconn+"connectError", "", "err"),
		wrapper(pgconn+"perDialConnectError", "", "err"),
		wrapper(pgconn+"errTimeout", "", "err"),
		wrapper(pgconn+"contextAlreadyDoneError", "", "err"),
		wrapper(pgconn+"pgconnError", "msg", "err"),
		wrapper(pgconn+"PrepareError", "", "err"),
		wrapper("*net.OpError", "", "Err"),
		wrapper("*os.SyscallError", "", "Err"),
		number("syscall.Errno", "", "."),
		wrapper("*errors.errorString", "s", ""),
	}
}
