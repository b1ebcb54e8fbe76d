package databasesql

import (
	"slices"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/probes"
)

// Probe instruments database/sql: a CLIENT span per call of a method that reaches for the database, from the call until its
// return. Waiting for a connection, making one, preparing a statement anew and attempts repeated after driver.ErrBadConn are
// within it. The span of a query ends when its rows can be read; reading them is not part of it.
//
// Its traps are the method's entry and, since Go 1.19, where (*DB).retry returns within it
// (https://github.com/golang/go/blob/go1.26.0/src/database/sql/sql.go#L1574), or else where the method itself does. Where the compiler has put a copy of
// the method in the place of its calls, they are calls that the copy makes.
func Probe() probes.Probe {
	calls := callSites()
	return probes.Probe{
		Name:    "database/sql",
		Library: "database/sql",
		Spec:    loadSql,
		Programs: []probes.Program{
			{Name: sqlProgDbCall, Sites: calls[sqlSqlCallDB_QUERY:sqlSqlCallCONN_QUERY], Every: true, Copies: dbCopies(), Ends: sqlProgDbReturn},
			{Name: sqlProgConnCall, Sites: calls[sqlSqlCallCONN_QUERY:sqlSqlCallTX_QUERY], Every: true, Optional: true, Copies: connCopies(), Ends: sqlProgConnReturn},
			{Name: sqlProgTxCall, Sites: calls[sqlSqlCallTX_QUERY:sqlSqlCallSTMT_QUERY], Every: true, Optional: true, Copies: txCopies(), Ends: sqlProgTxReturn},
			{Name: sqlProgStmtCall, Sites: calls[sqlSqlCallSTMT_QUERY:], Every: true, Optional: true},
			{Name: sqlProgConnReturn, Sites: connReturns(), Every: true, Optional: true, Copies: connCopyReturns()},
			{Name: sqlProgTxReturn, Sites: txReturns(), Every: true, Optional: true, Copies: txCopyReturns()},
			{Name: sqlProgDbReturn, Sites: dbReturns(), Every: true, Copies: dbCopyReturns()},
		},
		Constants:  constants(),
		NewDecoder: newDecoder,
	}
}

// Receivers of the methods.
const (
	db   = "database/sql.(*DB)."
	conn = "database/sql.(*Conn)."
	tx   = "database/sql.(*Tx)."
	stmt = "database/sql.(*Stmt)."
)

// callSites are the entries of the methods, at the index that is their enum sql_call. All others, such as QueryRow, call these.
func callSites() []probes.Site {
	return []probes.Site{
		sqlSqlCallDB_QUERY:     {Func: db + "QueryContext"},
		sqlSqlCallDB_EXEC:      {Func: db + "ExecContext"},
		sqlSqlCallDB_PREPARE:   {Func: db + "PrepareContext"},
		sqlSqlCallDB_PING:      {Func: db + "PingContext"},
		sqlSqlCallDB_BEGIN:     {Func: db + "BeginTx"},
		sqlSqlCallCONN_QUERY:   {Func: conn + "QueryContext"},
		sqlSqlCallCONN_EXEC:    {Func: conn + "ExecContext"},
		sqlSqlCallCONN_PREPARE: {Func: conn + "PrepareContext"},
		sqlSqlCallCONN_PING:    {Func: conn + "PingContext"},
		sqlSqlCallCONN_BEGIN:   {Func: conn + "BeginTx"},
		sqlSqlCallTX_QUERY:     {Func: tx + "QueryContext"},
		sqlSqlCallTX_EXEC:      {Func: tx + "ExecContext"},
		sqlSqlCallTX_PREPARE:   {Func: tx + "PrepareContext"},
		sqlSqlCallTX_COMMIT:    {Func: tx + "Commit"},
		sqlSqlCallTX_ROLLBACK:  {Func: tx + "rollback"},
		sqlSqlCallSTMT_QUERY:   {Func: stmt + "QueryContext"},
		sqlSqlCallSTMT_EXEC:    {Func: stmt + "ExecContext"},
	}
}

// dbCopies are where copies of methods of *DB have their work done, in what they give to retry: at the index that is their enum sql_call. The
// arguments are those of the method.
func dbCopies() []probes.Copy {
	work := func(method, callee string) probes.Copy {
		return probes.Copy{Of: db + method, Closure: true, Site: probes.Site{At: db + callee, Without: retry}}
	}
	return []probes.Copy{
		sqlSqlCallDB_QUERY:   work("QueryContext", "query"),
		sqlSqlCallDB_EXEC:    work("ExecContext", "exec"),
		sqlSqlCallDB_PREPARE: work("PrepareContext", "prepare"),
		sqlSqlCallDB_BEGIN:   work("BeginTx", "begin"),
	}
}

// workCopies are where copies of these methods of *Conn or *Tx have their work done, in the order of their enum sql_call.
func workCopies(receiver string) []probes.Copy {
	return []probes.Copy{workCopy(receiver+"QueryContext", "queryDC"), workCopy(receiver+"ExecContext", "execDC"), workCopy(receiver+"PrepareContext", "prepareDC")}
}

func workCopy(method, callee string) probes.Copy {
	return probes.Copy{Of: method, Site: probes.Site{At: db + callee, Every: true}}
}

// workedCopies are where the work of workCopies has come back.
func workedCopies(receiver string) []probes.Copy {
	return slices.Concat(workedCopy(receiver+"QueryContext", "queryDC", 1), workedCopy(receiver+"ExecContext", "execDC", 2), workedCopy(receiver+"PrepareContext", "prepareDC", 1))
}

// workedCopy prefers a place that only the callee comes back to. What else comes by at the other one has no call under way.
func workedCopy(method, callee string, skip int) []probes.Copy {
	return []probes.Copy{
		{Of: method, Site: probes.Site{After: []string{db + callee}, Skip: skip, Results: 2}},
		{Of: method, Site: probes.Site{Behind: db + callee, Skip: skip, Results: 2}},
	}
}

func connCopies() []probes.Copy {
	return append(workCopies(conn), workCopy(conn+"PingContext", "pingDC"), workCopy(conn+"BeginTx", "beginDC"))
}

func connCopyReturns() []probes.Copy {
	return slices.Concat(workedCopies(conn), workedCopy(conn+"PingContext", "pingDC", 0), workedCopy(conn+"BeginTx", "beginDC", 1))
}

// txCopies: Commit and rollback lock the transaction before they do anything else that counts, from Go 1.27 by a mutex of the package's own.
func txCopies() []probes.Copy {
	ends := func(method, mutex string) probes.Copy {
		return probes.Copy{Of: tx + method, Site: probes.Site{At: mutex + ".Lock", Every: true}}
	}
	const old, now = "sync.(*RWMutex)", "database/sql.(*closingMutex)"
	all := append(workCopies(tx), ends("Commit", old), ends("rollback", old))
	return append(all, probes.Copy{}, probes.Copy{}, probes.Copy{}, ends("Commit", now), ends("rollback", now))
}

// txCopyReturns are where the error is known.
func txCopyReturns() []probes.Copy {
	ends := func(method string) probes.Copy {
		return probes.Copy{Of: tx + method, Site: probes.Site{At: is, Every: true, Results: 2}}
	}
	return append(workedCopies(tx), ends("Commit"), ends("rollback"))
}

// dbCopyReturns: copies of methods call retry, and a method with a copy of retry has a site where it returns itself.
func dbCopyReturns() []probes.Copy {
	var all []probes.Copy
	for _, method := range []string{db + "QueryContext", db + "ExecContext", db + "PrepareContext", db + "BeginTx", stmt + "QueryContext", stmt + "ExecContext"} {
		all = append(all, probes.Copy{Of: method, Seen: true, Site: probes.Site{Calls: retry}}, probes.Copy{Of: retry, Seen: true, Site: probes.Site{Func: method}})
	}
	return append(all, // these are the beginning of others
		probes.Copy{Of: retry, Seen: true, Site: probes.Site{Func: db + "PingContext"}}, probes.Copy{Of: retry, Seen: true, Site: probes.Site{Func: db + "Conn"}})
}

// returns is where a method returns; its error comes behind skip other result words. Methods that leave the attempts to retry
// return what that returns.
func returns(method string, skip int) probes.Site {
	return probes.Site{Func: method, Return: true, Skip: skip, Results: 2, Without: retry}
}

// rets is where a method returns in which nothing but a RET comes behind the call that does the work, so that what comes before
// failures is on the way of successes too.
func rets(method string, skip int) probes.Site {
	site := returns(method, skip)
	site.Bare = true
	return site
}

const (
	retry = db + "retry"
	is    = "errors.Is"
)

// Result words before the error: of Rows, Stmt and Tx one, of Result two.
func dbReturns() []probes.Site {
	return []probes.Site{
		{Func: retry, Return: true, Results: 2},                          // the first: see sql.bpf.c
		{Func: db + "PingContext", Return: true, Bare: true, Results: 2}, // retry is only its beginning
		returns(db+"QueryContext", 1),
		returns(db+"ExecContext", 2),
		returns(db+"PrepareContext", 1),
		returns(db+"BeginTx", 1),
		rets(stmt+"QueryContext", 1),
		rets(stmt+"ExecContext", 2),
	}
}

func connReturns() []probes.Site {
	return []probes.Site{
		rets(conn+"QueryContext", 1),
		rets(conn+"ExecContext", 2),
		rets(conn+"PrepareContext", 1),
		rets(conn+"PingContext", 0),
		rets(conn+"BeginTx", 1),
	}
}

func txReturns() []probes.Site {
	sites := []probes.Site{
		rets(tx+"QueryContext", 1),
		rets(tx+"ExecContext", 2),
		rets(tx+"PrepareContext", 1),
	}
	return append(sites, append(settled(tx+"Commit"), settled(tx+"rollback")...)...)
}

// settled is where Commit or rollback asks whether the driver's error means a broken connection; what comes behind is the pool's
// business. Ends before that, for a transaction that is done, return errors of their own.
func settled(method string) []probes.Site {
	return []probes.Site{
		{Func: method, Calls: is, At: is, Results: 2},
		{Func: method, Calls: is, Return: true, Around: is, Results: 2},
		{Func: method, Without: is, Return: true, Bare: true, Results: 2},
	}
}

func constants() []probes.Constant {
	field := func(typ, path string) probes.Field { return probes.Field{Type: "database/sql." + typ, Path: path} }
	return []probes.Constant{
		{Name: sqlVarRuntimeG_goid, Of: probes.Field{Type: "runtime.g", Path: "goid"}, Max: bpf.GoroutineOffsetMax},
		{Name: sqlVarG_stackHi, Of: probes.Field{Type: "runtime.g", Path: "stack.hi"}, Max: bpf.GoroutineOffsetMax},
		{Name: sqlVarG_parentGoid, Of: probes.Field{Type: "runtime.g", Path: "parentGoid"}, Max: bpf.GoroutineOffsetMax, Optional: true},
		{Name: sqlVarKnownContexts, Of: probes.Contexts{}},
		{Name: sqlVarReadOnly, Of: probes.ReadOnly{}},
		{Name: sqlVarDbConnector, Of: field("DB", "connector")},
		{Name: sqlVarConnDb, Of: field("Conn", "db"), Optional: true},
		{Name: sqlVarTxDb, Of: field("Tx", "db"), Optional: true},
		{Name: sqlVarTxCtx, Of: field("Tx", "ctx"), Optional: true},
		{Name: sqlVarTxClosemu, Of: field("Tx", "closemu"), Optional: true},
		{Name: sqlVarTxDone, Of: probes.Fields{field("Tx", "done.v"), field("Tx", "done")}, Optional: true}, // atomic.Bool since Go 1.19
		{Name: sqlVarStmtDb, Of: field("Stmt", "db"), Optional: true},
		{Name: sqlVarStmtQuery, Of: field("Stmt", "query"), Optional: true},
		{Name: sqlVarKnownConnectors, Of: probes.Values{
			Known: connectors(), Holders: []string{"database/sql/driver.Connector", "database/sql/driver.Driver"},
		}},
		{Name: sqlVarKnownErrors, Of: probes.Values{Known: errorValues()}},
	}
}
