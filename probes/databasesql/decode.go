package databasesql

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"unsafe"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/probes"
)

// fixed is how much of an event is always there.
const fixed = unsafe.Offsetof(sqlSqlEvent{}.Text) + unsafe.Offsetof(sqlSqlEvent{}.Text.Data)

// IncludeStatement is the variable that says whether spans have the text of queries, true or false, true by default. Literals
// are not in the text in either case.
const IncludeStatement = "OTEL_GO_AUTO_INCLUDE_DB_STATEMENT"

func newDecoder(getenv func(string) string) (probes.Decoder, error) {
	d := decoder{Cache: probes.NewCache(), statements: statements{}, withText: true}
	if v := getenv(IncludeStatement); v != "" {
		include, err := strconv.ParseBool(v)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s=%q (use true or false)", IncludeStatement, v)
		}
		d.withText = include
	}
	return d.decode, nil
}

// decoder makes spans of events, one at a time.
type decoder struct {
	*probes.Cache
	statements statements
	withText   bool
	event      sqlSqlEvent // the one at hand
}

func (d *decoder) decode(head *bpf.SpanHead, event []byte, target probes.Target) (*tracepb.Span, error) {
	ev := &d.event
	if err := probes.Event(ev, event, fixed); err != nil {
		return nil, fmt.Errorf("cannot decode a database/sql event: %w", err)
	}
	if ev.Call >= uint8(sqlSqlCallSQL_CALLS) {
		return nil, fmt.Errorf("cannot decode a database/sql event: there is no call %d", ev.Call)
	}
	data := ev.Text.Data[:min(len(ev.Text.Data), len(event)-int(fixed), int(ev.Text.Used))]
	piece := func(t sqlSpanText) string { return d.Text(target.Piece(data, t.Off, t.Len)) }
	c := call{operation: operationOf(sqlSqlCall(ev.Call))}
	if name, ok := target.TypeName(ev.DriverType); ok {
		c.driver = packageOf(name)
	}
	c.system = systemOf(c.driver)
	c.source = d.source(&c, piece(ev.Host), piece(ev.Database), piece(ev.Dsn))
	query := target.Piece(data, ev.Query.Off, ev.Query.Len)
	c.statement = d.statements.clean(c.system.name, query, ev.QueryLength > uint64(len(query)))
	c.failure = failureOf(ev, piece(ev.Message), piece(ev.Code), target.TypeName)
	c.traceState = piece(ev.TraceState)
	span := probes.NewSpan(head, tracepb.Span_SPAN_KIND_CLIENT, target)
	d.fill(span, &c)
	return span, nil
}

// source is where the database is, by the fields of the driver's configuration or else by its data source name, unless that was cut.
func (d *decoder) source(c *call, host, database, dsn string) source {
	if host == "" && database == "" && dsn != "" && len(dsn) < int(sqlSqlLimitsSQL_DSN_MAX) {
		return parseSource(c.system, dsn)
	}
	s := source{host: host, port: int64(d.event.Port), namespace: database}
	if c.system.name == "mysql" {
		s.host, s.port = splitAddress(host)
	}
	return s
}

// splitAddress takes apart MySQL's "host:port", or the path of a socket.
func splitAddress(address string) (host string, port int64) {
	if strings.HasPrefix(address, "/") {
		return address, 0
	}
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return address, 0
	}
	return host, parsePort(text)
}
