package export

import (
	"strings"
	"unicode/utf8"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// mend replaces what is not UTF-8 in a span's strings. They come from somebody else's memory, and protobuf refuses to encode
// a whole batch for one bad byte in it.
func mend(span *tracepb.Span) {
	mendString(&span.Name)
	mendString(&span.TraceState)
	mendAttributes(span.Attributes)
	for _, event := range span.Events {
		mendString(&event.Name)
		mendAttributes(event.Attributes)
	}
	for _, link := range span.Links {
		mendString(&link.TraceState)
		mendAttributes(link.Attributes)
	}
	if span.Status != nil {
		mendString(&span.Status.Message)
	}
}

func mendAttributes(attributes []*commonpb.KeyValue) {
	for _, kv := range attributes {
		mendString(&kv.Key)
		mendValue(kv.Value)
	}
}

func mendValue(value *commonpb.AnyValue) {
	switch v := value.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		mendString(&v.StringValue)
	case *commonpb.AnyValue_ArrayValue:
		for _, element := range v.ArrayValue.GetValues() {
			mendValue(element)
		}
	case *commonpb.AnyValue_KvlistValue:
		mendAttributes(v.KvlistValue.GetValues())
	}
}

func mendString(s *string) {
	if !utf8.ValidString(*s) {
		*s = strings.ToValidUTF8(*s, string(utf8.RuneError))
	}
}
