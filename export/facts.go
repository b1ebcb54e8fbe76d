package export

import (
	"fmt"
	"strconv"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// facts is what the console shows of a span. All texts are printable; what is not known is empty.
type facts struct {
	name, kind, service string
	failed              bool // status Error
	errorType           string
	httpStatus          string
	duration            time.Duration
	method, route, path string // of server spans
	url                 string // of client spans
	client              string // of server spans: an address
	exceptions          []string
}

func factsOf(it item) facts {
	s := it.span
	f := facts{
		name:       printable(s.Name),
		kind:       kindName(s.Kind),
		service:    attribute(it.resource.GetAttributes(), string(semconv.ServiceNameKey)),
		failed:     s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR,
		errorType:  attribute(s.Attributes, string(semconv.ErrorTypeKey)),
		httpStatus: attribute(s.Attributes, string(semconv.HTTPResponseStatusCodeKey)),
		duration:   time.Duration(max(0, int64(s.EndTimeUnixNano-s.StartTimeUnixNano))),
	}
	if s.Kind == tracepb.Span_SPAN_KIND_SERVER {
		f.method = attribute(s.Attributes, string(semconv.HTTPRequestMethodKey))
		f.route = attribute(s.Attributes, string(semconv.HTTPRouteKey))
		f.path = attribute(s.Attributes, string(semconv.URLPathKey))
		f.client = attribute(s.Attributes, string(semconv.ClientAddressKey))
	}
	if s.Kind == tracepb.Span_SPAN_KIND_CLIENT {
		f.url = attribute(s.Attributes, string(semconv.URLFullKey))
	}
	for _, event := range s.Events {
		if event.Name == "exception" {
			f.exceptions = append(f.exceptions, exceptionText(event))
		}
	}
	return f
}

// exceptionText returns "type: message" of an exception event.
func exceptionText(event *tracepb.Span_Event) string {
	text := attribute(event.Attributes, string(semconv.ExceptionTypeKey))
	if message := attribute(event.Attributes, string(semconv.ExceptionMessageKey)); message != "" {
		if text != "" {
			text += ": "
		}
		text += message
	}
	return text
}

func kindName(kind tracepb.Span_SpanKind) string {
	switch kind {
	case tracepb.Span_SPAN_KIND_SERVER:
		return "server"
	case tracepb.Span_SPAN_KIND_CLIENT:
		return "client"
	case tracepb.Span_SPAN_KIND_PRODUCER:
		return "producer"
	case tracepb.Span_SPAN_KIND_CONSUMER:
		return "consumer"
	default:
		return "internal"
	}
}

// attribute returns the value of a text or number attribute as printable text, empty if there is none.
func attribute(attributes []*commonpb.KeyValue, key string) string {
	for _, kv := range attributes {
		if kv.Key != key {
			continue
		}
		switch v := kv.Value.GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			return printable(v.StringValue)
		case *commonpb.AnyValue_IntValue:
			return strconv.FormatInt(v.IntValue, 10)
		}
	}
	return ""
}

// durationText returns d with three significant digits and at most eight columns.
func durationText(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return significant(float64(d)/float64(time.Millisecond)) + " ms"
	case d < time.Minute:
		return significant(d.Seconds()) + " s"
	default:
		return d.Truncate(time.Second).String()
	}
}

func significant(x float64) string {
	switch {
	case x < 9.995:
		return strconv.FormatFloat(x, 'f', 2, 64)
	case x < 99.95:
		return strconv.FormatFloat(x, 'f', 1, 64)
	default:
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
}
