package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remora-agent/remora/internal/testenv"
)

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
			noneLost(t, c.agent)
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
