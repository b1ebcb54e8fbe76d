package probes

import (
	"strings"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
)

// Cache keeps texts and attributes that come again and again, such as http.request.method=GET, so that thousands of spans
// share one. It belongs to one decoder. What is unlikely to come again should pass it by: see Attribute.
//
// Spans that share an attribute must not be changed.
type Cache struct {
	texts map[string]string
	attrs map[attribute]*commonpb.KeyValue
	ints  map[number]*commonpb.KeyValue
}

type attribute struct{ key, value string }

type number struct {
	key   string
	value int64
}

// cacheMax bounds each map; a full one starts anew.
const cacheMax = 2048

// NewCache returns an empty cache.
func NewCache() *Cache {
	return &Cache{texts: map[string]string{}, attrs: map[attribute]*commonpb.KeyValue{}, ints: map[number]*commonpb.KeyValue{}}
}

// Text returns bytes of an event as text.
func (c *Cache) Text(data []byte) string {
	if len(data) == 0 {
		return ""
	}
	if s, ok := c.texts[string(data)]; ok {
		return s
	}
	if len(c.texts) >= cacheMax {
		clear(c.texts)
	}
	s := Text(data)
	c.texts[string(data)] = s
	return s
}

// String returns a text attribute.
func (c *Cache) String(key, value string) *commonpb.KeyValue {
	k := attribute{key, value}
	if kv, ok := c.attrs[k]; ok {
		return kv
	}
	if len(c.attrs) >= cacheMax {
		clear(c.attrs)
	}
	kv := Attribute(key, value)
	c.attrs[k] = kv
	return kv
}

// Int returns a number attribute.
func (c *Cache) Int(key string, value int64) *commonpb.KeyValue {
	k := number{key, value}
	if kv, ok := c.ints[k]; ok {
		return kv
	}
	if len(c.ints) >= cacheMax {
		clear(c.ints)
	}
	kv := &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: value}}}
	c.ints[k] = kv
	return kv
}

// Text returns bytes of an event as valid UTF-8: what is none becomes U+FFFD.
func Text(data []byte) string { return strings.ToValidUTF8(string(data), "\uFFFD") }

// Attribute returns a text attribute of its own.
func Attribute(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}
