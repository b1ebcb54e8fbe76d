package databasesql

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/remora-agent/remora/probes/databasesql/sqltext"
)

// driverKey is told of drivers that belong to no known database: the import path of their package.
const driverKey = attribute.Key("remora.db.driver")

// call is an event with its text.
type call struct {
	operation  string // of a call that is not named by its query: "PREPARE", "COMMIT"
	driver     string // import path of the driver's package, "" if unknown
	system     system
	source     source
	statement  sqltext.Statement
	failure    *failure // nil: there was none
	traceState string
}

// operationOf names the calls that are not named by their query: those that send none, and Prepare, which does not carry it out.
func operationOf(c sqlSqlCall) string {
	switch c {
	case sqlSqlCallDB_PREPARE, sqlSqlCallCONN_PREPARE, sqlSqlCallTX_PREPARE:
		return "PREPARE"
	case sqlSqlCallDB_PING, sqlSqlCallCONN_PING:
		return "PING"
	case sqlSqlCallDB_BEGIN, sqlSqlCallCONN_BEGIN:
		return "BEGIN"
	case sqlSqlCallTX_COMMIT:
		return "COMMIT"
	case sqlSqlCallTX_ROLLBACK:
		return "ROLLBACK"
	}
	return ""
}

// fill writes the call into the span by the stable conventions for databases:
// https://opentelemetry.io/docs/specs/semconv/db/database-spans/
func (d *decoder) fill(span *tracepb.Span, c *call) {
	list := make([]*commonpb.KeyValue, 0, 12)
	text := func(key attribute.Key, value string) {
		if value != "" {
			list = append(list, d.String(string(key), value))
		}
	}
	text(semconv.DBSystemNameKey, c.system.name)
	if c.system.name == otherSQL {
		text(driverKey, c.driver)
	}
	text(semconv.DBNamespaceKey, c.source.namespace)
	text(semconv.ServerAddressKey, c.source.host)
	if port := c.port(); port != 0 {
		list = append(list, d.Int(string(semconv.ServerPortKey), port))
	}
	text(semconv.DBOperationNameKey, c.operationName())
	text(semconv.DBCollectionNameKey, c.statement.Collection)
	text(semconv.DBQuerySummaryKey, c.summary())
	if d.withText {
		text(semconv.DBQueryTextKey, c.statement.Text)
	}
	if f := c.failure; f != nil {
		text(semconv.DBResponseStatusCodeKey, f.code)
		text(semconv.ErrorTypeKey, f.errorType())
		span.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: f.description(c.system)}
	}
	if ts, err := trace.ParseTraceState(c.traceState); err == nil {
		span.TraceState = ts.String()
	}
	span.Name = c.name()
	span.Attributes = list
}

// port is the server's if it is worth telling: not a default one, nor where nobody knows which host's.
func (c *call) port() int64 {
	if c.source.host == "" || c.source.port == c.system.port || strings.HasPrefix(c.source.host, "/") {
		return 0
	}
	return c.source.port
}

func (c *call) operationName() string {
	if c.operation != "" {
		return c.operation
	}
	return c.statement.Operation
}

// summary is the query's. To prepare a query is not to carry it out: its spans are told apart.
func (c *call) summary() string {
	if c.statement.Summary == "" || c.operation == "" {
		return c.statement.Summary
	}
	return c.operation + " " + c.statement.Summary
}

// name is the query's summary, else the operation and what it goes to, else the latter, else the system.
// https://opentelemetry.io/docs/specs/semconv/db/database-spans/#name
func (c *call) name() string {
	if s := c.summary(); s != "" {
		return s
	}
	target := c.source.namespace
	if target == "" && c.source.host != "" {
		target = c.source.host
		if port := c.port(); port != 0 {
			target += ":" + strconv.FormatInt(port, 10)
		}
	}
	name := strings.TrimSpace(c.operationName() + " " + target)
	if name == "" {
		return c.system.name
	}
	return name
}
