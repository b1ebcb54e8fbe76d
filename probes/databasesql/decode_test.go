package databasesql

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/probes"
)

// sent is what the programs saw of a call; event makes of it the bytes that they would send.
type sent struct {
	traceState, host, database, dsn, query, message, code string
	fixed                                                 sqlSqlEvent // all that is no text
}

func (s sent) event() []byte {
	ev := s.fixed
	ev.QueryLength = max(ev.QueryLength, uint64(len(s.query)))
	for _, piece := range []struct {
		at   *sqlSpanText
		text string
	}{
		{&ev.TraceState, s.traceState}, {&ev.Host, s.host}, {&ev.Database, s.database}, {&ev.Dsn, s.dsn},
		{&ev.Query, s.query}, {&ev.Message, s.message}, {&ev.Code, s.code},
	} {
		*piece.at = sqlSpanText{Off: ev.Text.Used, Len: uint16(len(piece.text))}
		ev.Text.Used += uint16(copy(ev.Text.Data[ev.Text.Used:], piece.text))
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&ev)), unsafe.Sizeof(ev))[:int(fixed)+int(ev.Text.Used)]
}

// types are the type descriptors of the traced program.
var types = map[uint64]string{
	1: "*github.com/lib/pq.Connector", 2: "*github.com/go-sql-driver/mysql.connector", 3: "*modernc.org/sqlite.Driver",
	4: "*example.com/db.Driver", 5: "*github.com/jackc/pgx/v5/stdlib.driverConnector",
	10: "*fmt.wrapError", 11: "*github.com/lib/pq.Error", 12: "*errors.errorString", 13: "*net.OpError", 14: "*os.SyscallError",
	15: "syscall.Errno", 16: "*github.com/go-sql-driver/mysql.MySQLError", 17: "context.deadlineExceededError", 18: "*modernc.org/sqlite.Error",
}

// decode decodes an event in an environment of name, value pairs.
func decode(t *testing.T, s sent, env ...string) *tracepb.Span {
	t.Helper()
	decoder, err := newDecoder(func(name string) string {
		for i := 0; i < len(env); i += 2 {
			if env[i] == name {
				return env[i+1]
			}
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
	event := s.event()
	head, ok := bpf.Head(event)
	if !ok {
		t.Fatal("the event has no head")
	}
	span, err := decoder(head, event, probes.Target{
		Interval: func(start, end uint64) (uint64, uint64) { return start + 1000, end + 1000 },
		TypeName: func(addr uint64) (string, bool) { name, ok := types[addr]; return name, ok },
	})
	if err != nil {
		t.Fatal(err)
	}
	return span
}

// list makes attributes of name, value pairs; values are strings and ints.
func list(pairs ...any) []*commonpb.KeyValue {
	var all []*commonpb.KeyValue
	for i := 0; i < len(pairs); i += 2 {
		kv := &commonpb.KeyValue{Key: pairs[i].(string)}
		switch v := pairs[i+1].(type) {
		case string:
			kv.Value = &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: v}}
		case int:
			kv.Value = &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: int64(v)}}
		}
		all = append(all, kv)
	}
	return all
}

func failed(message string) *tracepb.Status {
	return &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: message}
}

func event(call sqlSqlCall, driver uint64, change func(*sent)) sent {
	s := sent{fixed: sqlSqlEvent{Call: uint8(call), DriverType: driver}}
	if change != nil {
		change(&s)
	}
	return s
}

func TestSpan(t *testing.T) {
	const postgres, mysql, sqlite, other, pgx = 1, 2, 3, 4, 5
	for _, tt := range []struct {
		what   string
		sent   sent
		name   string
		list   []*commonpb.KeyValue
		status *tracepb.Status
	}{
		{"a query", event(sqlSqlCallDB_QUERY, postgres, func(s *sent) {
			s.host, s.database, s.fixed.Port, s.query = "db.example", "shop", 5433, "SELECT name FROM songs WHERE artist = 'secret' AND id = $1"
		}), "SELECT songs", list("db.system.name", "postgresql", "db.namespace", "shop", "server.address", "db.example", "server.port", 5433,
			"db.operation.name", "SELECT", "db.collection.name", "songs", "db.query.summary", "SELECT songs",
			"db.query.text", "SELECT name FROM songs WHERE artist = ? AND id = $1"), nil},
		{"the default port", event(sqlSqlCallDB_PING, mysql, func(s *sent) { s.host, s.database = "db.example:3306", "shop" }),
			"PING shop", list("db.system.name", "mysql", "db.namespace", "shop", "server.address", "db.example", "db.operation.name", "PING"), nil},
		{"a socket", event(sqlSqlCallTX_COMMIT, mysql, func(s *sent) { s.host = "/run/mysqld/mysqld.sock" }),
			"COMMIT /run/mysqld/mysqld.sock", list("db.system.name", "mysql", "server.address", "/run/mysqld/mysqld.sock", "db.operation.name", "COMMIT"), nil},
		{"a data source name", event(sqlSqlCallCONN_BEGIN, pgx, func(s *sent) { s.dsn = "postgres://bob:secret@db.example:5433" }),
			"BEGIN db.example:5433", list("db.system.name", "postgresql", "server.address", "db.example", "server.port", 5433, "db.operation.name", "BEGIN"), nil},
		{"a data source name that was cut", event(sqlSqlCallDB_BEGIN, pgx, func(s *sent) {
			s.dsn = "postgres://db.example/" + strings.Repeat("x", int(sqlSqlLimitsSQL_DSN_MAX))[:int(sqlSqlLimitsSQL_DSN_MAX)-22]
		}), "BEGIN", list("db.system.name", "postgresql", "db.operation.name", "BEGIN"), nil},
		{"prepared", event(sqlSqlCallTX_PREPARE, sqlite, func(s *sent) { s.dsn, s.query = "file:shop.db?mode=ro", "DELETE FROM songs" }),
			"PREPARE DELETE songs", list("db.system.name", "sqlite", "db.namespace", "shop.db", "db.operation.name", "PREPARE",
				"db.collection.name", "songs", "db.query.summary", "PREPARE DELETE songs", "db.query.text", "DELETE FROM songs"), nil},
		{"not understood", event(sqlSqlCallSTMT_EXEC, other, func(s *sent) { s.query = "SELECT 'secret" }),
			"other_sql", list("db.system.name", "other_sql", "remora.db.driver", "example.com/db"), nil},
		{"an unknown driver", event(sqlSqlCallTX_ROLLBACK, 99, nil), "ROLLBACK", list("db.system.name", "other_sql", "db.operation.name", "ROLLBACK"), nil},
		{"a database's error", event(sqlSqlCallDB_PING, postgres, func(s *sent) {
			s.fixed.ErrorTypes, s.message, s.code = [8]uint64{10, 11}, `duplicate key value violates unique constraint "songs_pkey"`, "23505"
		}), "PING", list("db.system.name", "postgresql", "db.operation.name", "PING", "db.response.status_code", "23505", "error.type", "23505"),
			failed(`duplicate key value violates unique constraint "songs_pkey"`)},
		{"a database's number", event(sqlSqlCallDB_PING, mysql, func(s *sent) {
			s.fixed.ErrorTypes, s.fixed.Numbered, s.fixed.ErrorNumber, s.message = [8]uint64{16}, 1, 1062, "Duplicate entry 'secret' for key 'songs.PRIMARY'"
		}), "PING", list("db.system.name", "mysql", "db.operation.name", "PING", "db.response.status_code", "1062", "error.type", "1062"),
			failed("Duplicate entry '?'")},
		{"refused", event(sqlSqlCallDB_PING, mysql, func(s *sent) {
			s.fixed.ErrorTypes, s.fixed.Numbered, s.fixed.ErrorNumber = [8]uint64{13, 14, 15}, 1, 111
		}), "PING", list("db.system.name", "mysql", "db.operation.name", "PING", "error.type", "*net.OpError"), failed("connection refused")},
		{"an error without words", event(sqlSqlCallDB_PING, mysql, func(s *sent) { s.fixed.ErrorTypes = [8]uint64{99} }),
			"PING", list("db.system.name", "mysql", "db.operation.name", "PING", "error.type", "_OTHER"), failed("")},
	} {
		t.Run(tt.what, func(t *testing.T) {
			h := &tt.sent.fixed.Head
			h.Start, h.End, h.TraceId, h.SpanId, h.TraceFlags = 1, 2, [16]uint8{15: 1}, [8]uint8{7: 2}, 1
			tt.sent.traceState = "vendor=1"
			want := &tracepb.Span{
				TraceId: append(make([]byte, 15), 1), SpanId: append(make([]byte, 7), 2), TraceState: "vendor=1", Flags: 0x101,
				Kind: tracepb.Span_SPAN_KIND_CLIENT, StartTimeUnixNano: 1001, EndTimeUnixNano: 1002,
				Name: tt.name, Attributes: tt.list, Status: tt.status,
			}
			if diff := cmp.Diff(want, decode(t, tt.sent), protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Without the text, all that does not quote it stays.
func TestIncludeStatement(t *testing.T) {
	s := event(sqlSqlCallDB_EXEC, 1, func(s *sent) { s.query = "DELETE FROM songs" })
	want := list("db.system.name", "postgresql", "db.operation.name", "DELETE", "db.collection.name", "songs", "db.query.summary", "DELETE songs")
	if diff := cmp.Diff(want, decode(t, s, IncludeStatement, "false").Attributes, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if _, err := newDecoder(func(string) string { return "perhaps" }); err == nil {
		t.Error("no error for a value that is neither true nor false")
	}
}

func TestMalformedEvent(t *testing.T) {
	decoder, err := newDecoder(func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	for what, event := range map[string][]byte{
		"short":   make([]byte, fixed-1),
		"no call": event(sqlSqlCallSQL_CALLS, 0, nil).event(),
	} {
		if span, err := decoder(nil, event, probes.Target{}); err == nil {
			t.Errorf("%s: %v", what, span)
		}
	}
}
