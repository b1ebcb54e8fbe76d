package probes

import commonpb "go.opentelemetry.io/proto/otlp/common/v1"

// Attributes collects a span's attributes. All of a span are one allocation, not three each.
type Attributes struct {
	slots []slot
	list  []*commonpb.KeyValue
}

type slot struct {
	kv    commonpb.KeyValue
	value commonpb.AnyValue
	str   commonpb.AnyValue_StringValue
	num   commonpb.AnyValue_IntValue
}

// NewAttributes has room for n attributes; more are allowed.
func NewAttributes(n int) *Attributes {
	return &Attributes{slots: make([]slot, n), list: make([]*commonpb.KeyValue, 0, n)}
}

func (a *Attributes) next(key string) *slot {
	if len(a.slots) == 0 {
		a.slots = make([]slot, 4)
	}
	s := &a.slots[0]
	a.slots = a.slots[1:]
	s.kv.Key, s.kv.Value = key, &s.value
	a.list = append(a.list, &s.kv)
	return s
}

// String adds a text attribute.
func (a *Attributes) String(key, value string) {
	s := a.next(key)
	s.str.StringValue = value
	s.value.Value = &s.str
}

// Int adds a number.
func (a *Attributes) Int(key string, value int64) {
	s := a.next(key)
	s.num.IntValue = value
	s.value.Value = &s.num
}

// List returns what was added, in that order.
func (a *Attributes) List() []*commonpb.KeyValue { return a.list }
