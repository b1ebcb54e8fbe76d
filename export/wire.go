package export

import (
	"bytes"
	"fmt"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// attributesField is the number of Span.attributes:
// https://github.com/open-telemetry/opentelemetry-proto/blob/v1.11.0/opentelemetry/proto/trace/v1/trace.proto
const attributesField = 9

// encodedMax bounds the attributes that are kept encoded; when they are more, all are forgotten.
const encodedMax = 4096

// wire prepares spans for encoding. Most of a span is attributes, and most attributes are shared by many spans, as the same
// pointer: each is encoded once, and a span carries the bytes. That halves the cost of encoding. A wire is not safe for
// concurrent use.
type wire struct {
	encoded map[*commonpb.KeyValue][]byte
	scratch []byte
}

func newWire() *wire { return &wire{encoded: map[*commonpb.KeyValue][]byte{}} }

// prepare returns a span that encodes to the same message as span, which stays as it is. Bytes of fields that a message does
// not know are encoded as they are, which is what carries the attributes.
func (w *wire) prepare(span *tracepb.Span) (*tracepb.Span, error) {
	w.scratch = w.scratch[:0]
	for _, kv := range span.Attributes {
		b, err := w.attribute(kv)
		if err != nil {
			return nil, err
		}
		w.scratch = append(w.scratch, b...)
	}
	out := &tracepb.Span{
		TraceId: span.TraceId, SpanId: span.SpanId, TraceState: span.TraceState, ParentSpanId: span.ParentSpanId,
		Flags: span.Flags, Name: span.Name, Kind: span.Kind,
		StartTimeUnixNano: span.StartTimeUnixNano, EndTimeUnixNano: span.EndTimeUnixNano,
		DroppedAttributesCount: span.DroppedAttributesCount,
		Events:                 span.Events, DroppedEventsCount: span.DroppedEventsCount,
		Links: span.Links, DroppedLinksCount: span.DroppedLinksCount,
		Status: span.Status,
	}
	out.ProtoReflect().SetUnknown(bytes.Clone(w.scratch))
	return out, nil
}

// attribute returns a field Span.attributes, tag and length included.
func (w *wire) attribute(kv *commonpb.KeyValue) ([]byte, error) {
	if b, ok := w.encoded[kv]; ok {
		return b, nil
	}
	message, err := proto.Marshal(kv)
	if err != nil {
		return nil, fmt.Errorf("cannot encode attribute %q: %w", kv.GetKey(), err)
	}
	b := protowire.AppendTag(make([]byte, 0, len(message)+4), attributesField, protowire.BytesType)
	b = protowire.AppendBytes(b, message)
	if len(w.encoded) >= encodedMax {
		clear(w.encoded)
	}
	w.encoded[kv] = b
	return b, nil
}

// batch prepares a batch, in a slice of its own.
func (w *wire) batch(batch []item) ([]item, error) {
	out := make([]item, len(batch))
	for i, it := range batch {
		span, err := w.prepare(it.span)
		if err != nil {
			return nil, err
		}
		out[i] = item{resource: it.resource, scope: it.scope, span: span}
	}
	return out, nil
}
