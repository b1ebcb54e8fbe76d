package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/remora-agent/remora/internal/testenv"
)

// A sqlBuild is one build of the fixture.
type sqlBuild struct {
	testenv.BuildSpec
	sqlite string // the name of the SQLite driver that is in it
}

// sqlBuilds are the fixture with the drivers of its Go's time. Both SQLite drivers take minutes to compile.
func sqlBuilds() []sqlBuild {
	const dir = "testdata/sqlclient"
	all := []sqlBuild{
		{testenv.BuildSpec{Dir: dir, Go: "1.27.4", Stripped: true, Tags: "modernc"}, "sqlite"},
		{testenv.BuildSpec{Dir: dir, Go: "1.26.8", External: true}, "sqlite3"},
		{testenv.BuildSpec{Dir: dir, Go: "1.26.8", Stripped: true, PIE: true}, ""},
		{testenv.BuildSpec{Dir: dir, Go: "1.25.8", Stripped: true, ModFile: "mid.mod"}, ""},
		{testenv.BuildSpec{Dir: dir, Go: "1.24.13", Stripped: true, ModFile: "mid.mod"}, ""},
		{testenv.BuildSpec{Dir: dir, Go: "1.23.12", Stripped: true, ModFile: "mid.mod"}, ""},
		{testenv.BuildSpec{Dir: dir, Go: "1.22.12", Stripped: true, ModFile: "mid.mod"}, ""},
		{testenv.BuildSpec{Dir: dir, Go: "1.21.13", Stripped: true, ModFile: "mid.mod"}, ""},
		{testenv.BuildSpec{Dir: dir, Go: "1.20.14", ModFile: "old.mod"}, ""},
		{testenv.BuildSpec{Dir: dir, Go: "1.19.13", Stripped: true, ModFile: "old.mod"}, ""},
		{testenv.BuildSpec{Dir: dir, Go: "1.18.10", Stripped: true, ModFile: "old.mod", Tags: "modernc"}, "sqlite"},
	}
	for _, version := range profiledVersions() {
		spec := testenv.BuildSpec{Dir: dir, Go: version, Stripped: true, Hot: testenv.HotSQL()}
		if minorOf(version) < 26 {
			spec.ModFile = "mid.mod"
		}
		all = append(all, sqlBuild{spec, ""})
	}
	return all
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
func (c *sqlCalls) check(t *testing.T, d sqlTarget, way sqlWay) []testenv.Span {
	t.Helper()
	want := ""
	for i, s := range way.spans {
		want += d.want(s, i+1)
	}
	spans, got := c.spans(t, d, way.how, len(way.spans))
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", way.how, diff)
	}
	return spans
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
	for _, how := range []string{"db.QueryContext", "db.Query"} { // in a program with a profile, the second one has a copy of the first one
		const attempts = 2 * 20 * time.Millisecond // which the third one makes good
		if s := c.check(t, fake("flaky"), sqlWay{how, []sqlSpan{songQuery}})[0]; s.EndTimeUnixNano-s.StartTimeUnixNano < uint64(attempts) {
			t.Errorf("%s: the span has not all of the attempts: %v", how, s)
		}
	}
	c.check(t, fake("bad"), query(&sqlError{kind: "driver.ErrBadConn", message: "driver: bad connection"}))
	c.check(t, fake("nowhere"), query(&sqlError{kind: "*errors.errorString", message: "no such fake"}))
	c.check(t, fake("nested"), query(nil))                                                                     // what the driver does is a part of it
	c.check(t, fake("panics"), sqlWay{"after a panic", []sqlSpan{songUpdate}})                                 // the call that panics has no span, and no part in the next one
	c.check(t, fake("exits"), sqlWay{"after goroutines that ended", slices.Repeat([]sqlSpan{songUpdate}, 10)}) // nor in that of another goroutine with the same g
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
