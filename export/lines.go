package export

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// appendLines appends one line per span of key=value facts, for grep and cut. The first eight are always there and have no
// spaces in them; a value that is not known is "-". Later ones are there when they are known, and are quoted as Go strings
// if they need to be.
func appendLines(out []byte, spans []item) []byte {
	for _, n := range arrange(spans) {
		f := factsOf(n.item)
		for _, field := range [][2]string{
			{"trace", hex.EncodeToString(n.span.TraceId)},
			{"span", hex.EncodeToString(n.span.SpanId)},
			{"parent", hex.EncodeToString(n.span.ParentSpanId)},
			{"kind", f.kind},
			{"status", statusWord(n.span.Status.GetCode())},
			{"http_status", f.httpStatus},
			{"duration_ms", strconv.FormatFloat(float64(f.duration)/float64(time.Millisecond), 'f', 3, 64)},
			{"start", time.Unix(0, int64(n.span.StartTimeUnixNano)).UTC().Format("2006-01-02T15:04:05.000000000Z")},
		} {
			value := field[1]
			if value == "" {
				value = "-"
			}
			out = appendField(out, field[0], value)
		}
		for _, field := range [][2]string{
			{"service", f.service}, {"name", f.name}, {"method", f.method}, {"route", f.route}, {"path", f.path},
			{"client", f.client}, {"url", f.url}, {"error", f.errorType}, {"exception", strings.Join(f.exceptions, "; ")},
		} {
			if field[1] != "" {
				out = appendField(out, field[0], quoted(field[1]))
			}
		}
		out[len(out)-1] = '\n' // instead of the last space
	}
	return out
}

// statusWord names a span's status as the specification does.
func statusWord(code tracepb.Status_StatusCode) string {
	switch code {
	case tracepb.Status_STATUS_CODE_OK:
		return "ok"
	case tracepb.Status_STATUS_CODE_ERROR:
		return "error"
	}
	return "unset"
}

func appendField(out []byte, key, value string) []byte {
	out = append(out, key...)
	out = append(out, '=')
	out = append(out, value...)
	return append(out, ' ')
}

// quoted quotes what a reader of fields could take for the end of one.
func quoted(s string) string {
	if strings.ContainsAny(s, " \"\\=") {
		return strconv.Quote(s)
	}
	return s
}
