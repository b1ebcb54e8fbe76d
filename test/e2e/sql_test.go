package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/remora-agent/remora/internal/testenv"
)

// A sqlSpan is what a call of database/sql is to become by the conventions for databases, besides what all calls of a database have in
// common. https://opentelemetry.io/docs/specs/semconv/db/database-spans/
type sqlSpan struct {
	operation  string // db.operation.name
	text       string // db.query.text
	parameters bool   // the ? in it are parameters, which the driver writes in its way
	summary    string // db.query.summary, which is the name if there is one
	table      string // db.collection.name
	root       bool   // has no parent
	err        *sqlError
}

// A sqlError is how a call failed.
type sqlError struct {
	code    string // db.response.status_code, and then also error.type
	kind    string // error.type otherwise
	message string // the status's description
}

var (
	songQuery   = sqlSpan{operation: "SELECT", text: "SELECT title FROM songs WHERE id = ?", parameters: true, summary: "SELECT songs", table: "songs"}
	songUpdate  = sqlSpan{operation: "UPDATE", text: "UPDATE songs SET title = ? WHERE id = ?", parameters: true, summary: "UPDATE songs", table: "songs"}
	songPrepare = sqlSpan{operation: "PREPARE", text: songQuery.text, parameters: true, summary: "PREPARE SELECT songs", table: "songs"}
	titleUpdate = sqlSpan{operation: "PREPARE", text: songUpdate.text, parameters: true, summary: "PREPARE UPDATE songs", table: "songs"}
	begin       = sqlSpan{operation: "BEGIN"}
	commit      = sqlSpan{operation: "COMMIT"}
	rollback    = sqlSpan{operation: "ROLLBACK"}
	ping        = sqlSpan{operation: "PING"}
)

func (s sqlSpan) fails(err *sqlError) sqlSpan {
	s.err = err
	return s
}

// A sqlWay is a way of testdata/sqlclient, and the spans that it makes in the order of their start.
type sqlWay struct {
	how   string
	spans []sqlSpan
}

// sqlWays are the ways that succeed, and those that fail without having asked.
func sqlWays() []sqlWay {
	ways := []sqlWay{
		{"db.PingContext", []sqlSpan{ping}},
		{"db.Ping", []sqlSpan{ping}},
		{"conn.PingContext", []sqlSpan{ping}},
		{"conn.BeginTx", []sqlSpan{begin, rollback}},
		{"tx.Rollback", []sqlSpan{begin, rollback}},
		{"tx.Commit", []sqlSpan{begin, commit}},
		{"stmt.QueryContext", []sqlSpan{songPrepare, songQuery}},
		{"stmt.Query", []sqlSpan{songPrepare, songQuery}},
		{"stmt.QueryRowContext", []sqlSpan{songPrepare, songQuery}},
		{"stmt.QueryRow", []sqlSpan{songPrepare, songQuery}},
		{"stmt.ExecContext", []sqlSpan{titleUpdate, songUpdate}},
		{"stmt.Exec", []sqlSpan{titleUpdate, songUpdate}},
		{"tx.StmtContext", []sqlSpan{songPrepare, begin, songQuery, commit}},
		{"tx.Stmt", []sqlSpan{songPrepare, begin, songQuery, commit}},
		{"re-prepared", []sqlSpan{songPrepare, songQuery}},
		{"no rows", []sqlSpan{songQuery}},
		{"literals", []sqlSpan{{
			operation: "SELECT", text: "SELECT title FROM songs  WHERE title = ? AND id IN (?)", summary: "SELECT songs", table: "songs",
		}}},
		{"goroutine", []sqlSpan{songQuery}},
		{"background", []sqlSpan{songQuery}},
		{"cancelled before", []sqlSpan{songQuery.fails(&sqlError{kind: "context.Canceled", message: "context canceled"})}},
	}
	for call, span := range map[string]sqlSpan{
		"QueryContext": songQuery, "QueryRowContext": songQuery, "ExecContext": songUpdate, "PrepareContext": songPrepare,
		"Query": songQuery, "QueryRow": songQuery, "Exec": songUpdate, "Prepare": songPrepare,
	} {
		ways = append(ways, sqlWay{"db." + call, []sqlSpan{span}}, sqlWay{"tx." + call, []sqlSpan{begin, span, commit}})
		if strings.HasSuffix(call, "Context") {
			ways = append(ways, sqlWay{"conn." + call, []sqlSpan{span}})
		}
	}
	sort.Slice(ways, func(i, j int) bool { return ways[i].how < ways[j].how })
	return ways
}

// failedWays are the ways whose errors come from the server.
func failedWays(d sqlTarget) []sqlWay {
	syntax := sqlSpan{operation: "SELECT", text: "SELECT ? FROM WHERE id = ?", summary: "SELECT"}
	missing := sqlSpan{operation: "SELECT", text: "SELECT ? FROM missing", summary: "SELECT missing", table: "missing"}
	prepare := sqlSpan{operation: "PREPARE", text: "SELECT title FROM missing WHERE id = ?", parameters: true, summary: "PREPARE SELECT missing", table: "missing"}
	insert := sqlSpan{operation: "INSERT", text: "INSERT INTO songs (id, title) VALUES (?, ?)", summary: "INSERT songs", table: "songs"}
	var noCommand sqlSpan // nobody knows what is secret in what is no SQL
	errs := d.errors()
	return []sqlWay{
		{"syntax", []sqlSpan{syntax.fails(errs.syntax)}},
		{"no command", []sqlSpan{noCommand.fails(errs.noCommand)}},
		{"no table", []sqlSpan{missing.fails(errs.noTable)}},
		{"prepare fails", []sqlSpan{prepare.fails(errs.prepare)}},
		{"constraint", []sqlSpan{insert.fails(errs.constraint)}},
		{"timeout", []sqlSpan{d.endless().fails(errs.timeout)}},
		{"cancel", []sqlSpan{d.endless().fails(errs.cancel)}},
	}
}

// sqlErrors are the errors of a database as a driver reports them.
type sqlErrors struct {
	syntax, noCommand, noTable, prepare, constraint, timeout, cancel, deadlock *sqlError
}

func (d sqlTarget) errors() sqlErrors {
	deadline := &sqlError{kind: "context.deadlineExceededError", message: "context deadline exceeded"}
	cancelled := &sqlError{kind: "context.Canceled", message: "context canceled"}
	switch d.driver {
	case "postgres", "pgx": // https://www.postgresql.org/docs/current/errcodes-appendix.html
		e := sqlErrors{
			syntax:     &sqlError{code: "42601", message: `syntax error at or near "?"`},
			noCommand:  &sqlError{code: "42601", message: `syntax error at or near "?"`},
			noTable:    &sqlError{code: "42P01", message: `relation "missing" does not exist`},
			constraint: &sqlError{code: "23505", message: `duplicate key value violates unique constraint "songs_pkey"`},
			deadlock:   &sqlError{code: "40P01", message: "deadlock detected"},
			timeout:    deadline, cancel: cancelled,
		}
		if d.driver == "postgres" { // which waits for the server's answer to the cancellation
			e.timeout = &sqlError{code: "57014", message: "canceling statement due to user request"}
			e.cancel = e.timeout
		}
		e.prepare = e.noTable
		return e
	case "mysql": // https://mariadb.com/kb/en/mariadb-error-code-reference/
		syntax := "You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version for the right syntax to use near '?' at line 1"
		noTable := &sqlError{code: "1146", message: "Table '?' doesn't exist"}
		return sqlErrors{
			syntax:     &sqlError{code: "1064", message: syntax},
			noCommand:  &sqlError{code: "1064", message: syntax},
			noTable:    noTable,
			prepare:    noTable,
			constraint: &sqlError{code: "1062", message: "Duplicate entry '?'"},
			deadlock:   &sqlError{code: "1213", message: "Deadlock found when trying to get lock; try restarting transaction"},
			timeout:    deadline, cancel: cancelled,
		}
	}
	e := sqlErrors{ // https://www.sqlite.org/rescode.html; 1555 is the extended code of a primary key's violation
		syntax:     &sqlError{code: "1", message: `near "?": syntax error`},
		noTable:    &sqlError{code: "1", message: "no such table: ?"},
		constraint: &sqlError{code: "1555", message: "UNIQUE constraint failed: songs.id"},
		timeout:    deadline, cancel: cancelled,
	}
	if d.driver == "sqlite" { // which adds what the code says, and the code
		e.syntax.message = "SQL logic error: " + e.syntax.message + " (1)"
		e.noTable.message = "SQL logic error: " + e.noTable.message
		e.constraint.message = "constraint failed: " + e.constraint.message + " (1555)"
	}
	e.noCommand, e.prepare = e.syntax, e.noTable
	switch {
	case d.driver == "sqlite3": // whose queries end before the first row is looked for
		e.timeout, e.cancel = nil, nil
	case d.old: // which does not tell why it was interrupted, and prepares at the first use
		e.timeout = &sqlError{code: "9", message: "interrupted (9)"}
		e.cancel, e.prepare = e.timeout, nil
	}
	return e
}

// endless is the query that takes a minute.
func (d sqlTarget) endless() sqlSpan {
	switch d.system {
	case "postgresql":
		return sqlSpan{operation: "SELECT", text: "SELECT pg_sleep(?) FROM songs", summary: "SELECT songs", table: "songs"}
	case "mysql":
		return sqlSpan{operation: "SELECT", text: "SELECT sleep(?) FROM songs", summary: "SELECT songs", table: "songs"}
	}
	return sqlSpan{
		text:    "SELECT count(*) FROM songs a, (WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + ? FROM n) SELECT i FROM n LIMIT ?)",
		summary: "SELECT songs SELECT SELECT SELECT",
	}
}

// want is the span as testenv.Canonical writes it.
func (d sqlTarget) want(s sqlSpan, number int) string {
	attrs := map[string]string{"db.system.name": d.system, "db.namespace": d.space, "server.address": d.addr}
	attrs["db.operation.name"], attrs["db.collection.name"] = s.operation, s.table
	attrs["db.query.summary"] = s.summary
	if d.system == "other_sql" {
		attrs["remora.db.driver"] = "main" // the package of the driver, which is the fixture's own
	}
	attrs["db.query.text"] = s.text
	if s.parameters {
		attrs["db.query.text"] = d.text(s.text)
	}
	status := "UNSET"
	if s.err != nil {
		status = fmt.Sprintf("ERROR %q", s.err.message)
		attrs["db.response.status_code"], attrs["error.type"] = s.err.code, s.err.code+s.err.kind
	}
	var lines []string
	for k, v := range attrs {
		if v != "" {
			lines = append(lines, fmt.Sprintf("  %s = %q\n", k, v))
		}
	}
	if d.port != "" {
		lines = append(lines, "  server.port = "+d.port+"\n")
	}
	sort.Strings(lines)
	parent := " parent=REQUEST"
	if s.root {
		parent = ""
	}
	return fmt.Sprintf("%s [CLIENT] TRACE S%d%s flags=0x101\n  status %s\n%s", d.name(s), number, parent, status, strings.Join(lines, ""))
}

// name is the summary, else the operation and what it is for, else the latter, else the system.
// https://opentelemetry.io/docs/specs/semconv/db/database-spans/#name
func (d sqlTarget) name(s sqlSpan) string {
	target := d.space
	if target == "" && d.addr != "" {
		target = d.addr
		if d.port != "" {
			target += ":" + d.port
		}
	}
	for _, name := range []string{s.summary, strings.TrimSpace(s.operation + " " + target), d.system} {
		if name != "" {
			return name
		}
	}
	return ""
}

// A sqlBuild is one build of the fixture.
type sqlBuild struct {
	testenv.BuildSpec
	sqlite string // the name of the SQLite driver that is in it
}

// sqlBuilds are the fixture with the drivers of its Go's time. Both SQLite drivers take minutes to compile.
func sqlBuilds() []sqlBuild {
	const dir = "testdata/sqlclient"
	return []sqlBuild{
		{testenv.BuildSpec{Dir: dir, Go: "1.27.4", Stripped: true, Tags: "modernc"}, "sqlite"},
		{testenv.BuildSpec{Dir: dir, Go: "1.26.8", External: true}, "sqlite3"},
		{testenv.BuildSpec{Dir: dir, Go: "1.26.8", Stripped: true, PIE: true}, ""},
		{testenv.BuildSpec{Dir: dir, Go: "1.24.13", Stripped: true, ModFile: "mid.mod"}, ""},
		{testenv.BuildSpec{Dir: dir, Go: "1.21.13", Stripped: true, ModFile: "mid.mod"}, ""},
		{testenv.BuildSpec{Dir: dir, Go: "1.20.14", ModFile: "old.mod"}, ""},
		{testenv.BuildSpec{Dir: dir, Go: "1.18.10", Stripped: true, ModFile: "old.mod", Tags: "modernc"}, "sqlite"},
	}
}

// TestSQL compares the spans of every way to use database/sql, with each driver, with what the conventions say.
func TestSQL(t *testing.T) {
	testenv.RequireRoot(t)
	postgres, mariadb := startPostgres(t), startMariaDB(t)
	for _, build := range sqlBuilds() {
		t.Run(build.String(), func(t *testing.T) {
			databases := []sqlTarget{postgres.postgres("postgres"), postgres.postgres("pgx"), mariadb.mysql()}
			if build.sqlite != "" {
				databases = append(databases, sqlite(t, build.sqlite))
			}
			for i := range databases {
				databases[i].old = build.ModFile == "old.mod"
			}
			c := startSQL(t, build, databases)
			for _, d := range databases {
				t.Run(d.driver, func(t *testing.T) {
					for _, way := range append(sqlWays(), failedWays(d)...) {
						c.check(t, d, way)
					}
				})
			}
			for _, d := range databases[:3] {
				t.Run(d.driver+" deadlock", func(t *testing.T) { c.checkDeadlock(t, d) })
				t.Run(d.driver+" refused", func(t *testing.T) { c.checkRefused(t, d) })
				t.Run(d.driver+" by socket", func(t *testing.T) { c.check(t, d.bySocket(), sqlWay{"db.QueryContext", []sqlSpan{songQuery}}) })
			}
			t.Run("fake", c.checkFake)
		})
	}
}

// sqlCalls is a running fixture that is traced.
type sqlCalls struct {
	target *testenv.Target
	agent  *testenv.Agent
	sink   *testenv.Sink
}

func startSQL(t *testing.T, build sqlBuild, databases []sqlTarget, env ...string) *sqlCalls {
	t.Helper()
	c := &sqlCalls{target: testenv.StartTarget(t, testenv.Build(t, build.BuildSpec), nil), sink: testenv.NewSink(t)}
	for _, d := range databases {
		if answer := c.call(t, d, "setup"); answer != "ok" {
			t.Fatalf("%s: %s", d.driver, answer)
		}
	}
	c.agent = testenv.StartAgent(t, testenv.AgentOptions{Sink: c.sink, Args: []string{"--pid", strconv.Itoa(c.target.PID)}, Env: env})
	c.agent.WaitTraced(t, c.target.PID)
	return c
}

// call has the fixture use a database, and returns its answer.
func (c *sqlCalls) call(t *testing.T, d sqlTarget, how string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: testenv.Patient(30 * time.Second)}
	query := url.Values{"how": {how}, "driver": {d.driver}, "dsn": {d.source}}
	resp, err := client.Get(c.target.URL("/call?" + query.Encode()))
	if err != nil {
		t.Fatalf("%s: %v", how, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v: %s", how, resp.Status, err, answer)
	}
	return string(answer)
}

// check compares the spans of a way with those that it is to make.
func (c *sqlCalls) check(t *testing.T, d sqlTarget, way sqlWay) {
	t.Helper()
	want := ""
	for i, s := range way.spans {
		want += d.want(s, i+1)
	}
	_, got := c.spans(t, d, way.how, len(way.spans))
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", way.how, diff)
	}
}

// spans has the fixture use a database, and returns the CLIENT spans, also as text. It expects n of them, and one of the request.
func (c *sqlCalls) spans(t *testing.T, d sqlTarget, how string, n int) ([]testenv.Span, string) {
	t.Helper()
	before := c.sink.Len()
	w := testenv.Window{From: time.Now()}
	c.call(t, d, how)
	w.To = time.Now()
	return c.received(t, how, before, n, w)
}

// received waits for the spans of one request behind the first ones.
func (c *sqlCalls) received(t *testing.T, how string, before, n int, w testenv.Window) ([]testenv.Span, string) {
	t.Helper()
	canon := &testenv.Canonical{Known: map[string]string{}}
	var clients []testenv.Span
	for _, s := range c.sink.Wait(t, before+n+1, testenv.Patient(10*time.Second))[before:] {
		if err := w.CheckTimes(s); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		if strings.Contains(s.String(), "hunter2") && s.Kind.String() == "SPAN_KIND_CLIENT" {
			t.Errorf("%s: a secret: %v", how, s)
		}
		if s.Kind.String() == "SPAN_KIND_CLIENT" {
			clients = append(clients, s)
			continue
		}
		canon.Known[fmt.Sprintf("%x", s.SpanId)], canon.Known[fmt.Sprintf("%x", s.TraceId)] = "REQUEST", "TRACE"
	}
	return clients, canon.Text(clients)
}

// checkDeadlock expects one of the two transactions that wait for each other to fail.
func (c *sqlCalls) checkDeadlock(t *testing.T, d sqlTarget) {
	spans, text := c.spans(t, d, "deadlock", 8) // of the two transactions: BEGIN, two updates, ROLLBACK
	failed := d.want(songUpdate.fails(d.errors().deadlock), 0)
	failed = failed[strings.Index(failed, "\n"):]
	if n := strings.Count(text, failed); n != 1 {
		t.Errorf("%d updates failed as they should, want 1:\n%s", n, text)
	}
	names := map[string]int{}
	for _, s := range spans {
		names[s.Name]++
	}
	want := map[string]int{d.name(begin): 2, "UPDATE songs": 4, d.name(rollback): 2}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// checkRefused has nobody listen at the server's port.
func (c *sqlCalls) checkRefused(t *testing.T, d sqlTarget) {
	dead := testenv.FreeAddr(t)
	d.source, d.port = strings.Replace(d.source, d.addr+":"+d.port, dead, 1), portOf(dead)
	refused := &sqlError{kind: "*net.OpError", message: "connection refused"}
	if d.driver == "pgx" && !d.old { // which has it in a text
		refused.message = "dial error: dial tcp " + dead + ": connect: connection refused"
	}
	c.check(t, d, sqlWay{"db.QueryContext", []sqlSpan{songQuery.fails(refused)}})
	c.check(t, d, sqlWay{"db.PingContext", []sqlSpan{ping.fails(refused)}})
	c.check(t, d, sqlWay{"tx.Commit", []sqlSpan{begin.fails(refused)}})
}

// checkFake uses a driver that nobody knows, and which does what no real one does on demand.
func (c *sqlCalls) checkFake(t *testing.T) {
	query := func(err *sqlError) sqlWay { return sqlWay{"db.QueryContext", []sqlSpan{songQuery.fails(err)}} }
	c.check(t, fake("a source"), query(nil))
	c.check(t, fake("flaky"), query(nil)) // two attempts that the third one makes good
	c.check(t, fake("bad"), query(&sqlError{kind: "driver.ErrBadConn", message: "driver: bad connection"}))
	c.check(t, fake("nowhere"), query(&sqlError{kind: "*errors.errorString", message: "no such fake"}))
	c.check(t, fake("nested"), query(nil))                                     // what the driver does is a part of it
	c.check(t, fake("panics"), sqlWay{"after a panic", []sqlSpan{songUpdate}}) // the call that panics has no span, and no part in the next one
}

// TestSQLServerKilled: the server goes away in the middle of a query.
func TestSQLServerKilled(t *testing.T) {
	testenv.RequireRoot(t)
	build := sqlBuilds()[3]
	for _, start := range []func() sqlTarget{
		func() sqlTarget { return startPostgres(t).postgres("postgres") },
		func() sqlTarget { return startPostgres(t).postgres("pgx") },
		func() sqlTarget { return startMariaDB(t).mysql() },
	} {
		d := start()
		t.Run(d.driver, func(t *testing.T) {
			c := startSQL(t, build, []sqlTarget{d})
			done := make(chan string)
			go func() { done <- c.call(t, d, "endless") }()
			testenv.Eventually(t, 10*time.Second, "the query runs", func() bool { return c.call(t, d, "busy") == "ok" })
			d.server.kill()
			if answer := <-done; !strings.HasPrefix(answer, "error") {
				t.Errorf("the query ended with %q", answer)
			}
			c.checkKilled(t, d)
		})
	}
}

// checkKilled expects one endless query that failed, with all its attributes. What its error is depends on who notices first.
func (c *sqlCalls) checkKilled(t *testing.T, d sqlTarget) {
	t.Helper()
	var found []testenv.Span
	testenv.Eventually(t, 10*time.Second, "span of the query", func() bool {
		found = nil
		for _, s := range c.sink.Spans() {
			if testenv.Attributes(s.Attributes)["db.query.text"] == strconv.Quote(d.endless().text) {
				found = append(found, s)
			}
		}
		return len(found) > 0
	})
	if len(found) != 1 {
		t.Fatalf("%d spans of one query", len(found))
	}
	s := found[0]
	attrs := testenv.Attributes(s.Attributes)
	if s.Status.GetCode().String() != "STATUS_CODE_ERROR" || attrs["error.type"] == "" {
		t.Errorf("the query that failed has the status %v and the attributes %v", s.Status, attrs)
	}
	delete(attrs, "error.type")
	delete(attrs, "db.response.status_code")
	want := map[string]string{
		"db.system.name": strconv.Quote(d.system), "db.namespace": strconv.Quote(d.space), "server.address": strconv.Quote(d.addr), "server.port": d.port,
		"db.operation.name": `"SELECT"`, "db.collection.name": `"songs"`, "db.query.summary": `"SELECT songs"`, "db.query.text": strconv.Quote(d.endless().text),
	}
	if diff := cmp.Diff(want, attrs); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
}

// TestSQLText: a text that is too long is cut without showing a literal, and no text is shown where the user wants none.
func TestSQLText(t *testing.T) {
	testenv.RequireRoot(t)
	build, d := sqlBuilds()[2], fake("a source")
	t.Run("long", func(t *testing.T) {
		cut := sqlSpan{operation: "SELECT", text: "SELECT title FROM songs WHERE title =…", summary: "SELECT songs", table: "songs"}
		startSQL(t, build, nil).check(t, d, sqlWay{"long", []sqlSpan{cut}})
	})
	t.Run("none", func(t *testing.T) {
		without := songQuery
		without.text = ""
		startSQL(t, build, nil, "OTEL_GO_AUTO_INCLUDE_DB_STATEMENT=false").check(t, d, sqlWay{"db.QueryContext", []sqlSpan{without}})
	})
}

// TestSQLManyQueries: 10,000 requests, each with a query of its own name, on 32 connections of a pool that they share: each query has
// one span, and its own request as parent.
func TestSQLManyQueries(t *testing.T) {
	testenv.RequireRoot(t)
	const conns, each = 50, 200
	for _, build := range []sqlBuild{sqlBuilds()[5], sqlBuilds()[2]} {
		t.Run(build.String(), func(t *testing.T) {
			c := startSQL(t, build, nil, "OTEL_BSP_MAX_QUEUE_SIZE=65536", "REMORA_PROPAGATION=none")
			askForNames(t, c.target.URL("/shared?driver=fake&dsn=many&name="), conns, each)
			checkNames(t, c.sink.Wait(t, 2*conns*each, testenv.Patient(30*time.Second)), conns*each)
			if lost := c.agent.Metric(t, "remora_spans_dropped_total"); lost != 0 {
				t.Errorf("%v spans are lost", lost)
			}
		})
	}
}

// askForNames asks for n URLs on each of conns connections, each with another name at its end.
func askForNames(t *testing.T, to string, conns, n int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns}, Timeout: testenv.Patient(30 * time.Second)}
	defer client.CloseIdleConnections()
	var group sync.WaitGroup
	for conn := range conns {
		group.Go(func() {
			for i := range n {
				resp, err := client.Get(fmt.Sprintf("%sn%dx%d", to, conn, i))
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	group.Wait()
}

// checkNames expects n requests and n queries, each query with the name that its parent's URL ends with.
func checkNames(t *testing.T, spans []testenv.Span, n int) {
	t.Helper()
	names, queries := map[string]string{}, 0
	for _, s := range spans {
		if s.Kind.String() == "SPAN_KIND_SERVER" {
			query := strings.Trim(testenv.Attributes(s.Attributes)["url.query"], `"`)
			names[string(s.TraceId)+string(s.SpanId)] = query[strings.LastIndexByte(query, '=')+1:]
		}
	}
	if len(names) != n {
		t.Errorf("%d requests, want %d", len(names), n)
	}
	for _, s := range spans {
		if s.Kind.String() != "SPAN_KIND_CLIENT" {
			continue
		}
		queries++
		parent := string(s.TraceId) + string(s.ParentSpanId)
		text := strings.Trim(testenv.Attributes(s.Attributes)["db.query.text"], `"`)
		if name, ok := names[parent]; !ok || text != "SELECT ? AS x FROM songs AS "+name {
			t.Fatalf("the parent of %q is %q, or somebody's who has a query already", text, name)
		}
		delete(names, parent)
	}
	if queries != n {
		t.Errorf("%d queries, want %d", queries, n)
	}
}
