package testenv

import (
	"encoding/hex"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
)

// Canonical writes spans as text that is the same in every run: IDs become T1, S1, … by order of appearance, the ports that
// the system chose become words, and times are checked and left out.
type Canonical struct {
	Known      map[string]string // hex ID → name, for IDs that the test chose
	ServerPort string            // the target's port, written SERVER
	Ports      map[string]string // further ports, and what is written for them
	names      map[string]string
	count      map[byte]int
}

// Text returns the spans, in order of their start.
func (c *Canonical) Text(spans []Span) string {
	spans = append([]Span(nil), spans...)
	sort.SliceStable(spans, func(i, j int) bool { return spans[i].StartTimeUnixNano < spans[j].StartTimeUnixNano })
	var b strings.Builder
	for _, s := range spans {
		c.span(&b, s)
	}
	return b.String()
}

func (c *Canonical) span(b *strings.Builder, s Span) {
	fmt.Fprintf(b, "%s [%s] %s %s", s.Name, kindName(s.Kind), c.id('T', s.TraceId), c.id('S', s.SpanId))
	if len(s.ParentSpanId) > 0 {
		fmt.Fprintf(b, " parent=%s", c.id('S', s.ParentSpanId))
	}
	fmt.Fprintf(b, " flags=%#x", s.Flags)
	if s.TraceState != "" {
		fmt.Fprintf(b, " state=%q", s.TraceState)
	}
	fmt.Fprintf(b, "\n  status %s\n", statusText(s.Status))
	c.attributes(b, "  ", s.Attributes)
	for _, e := range s.Events {
		fmt.Fprintf(b, "  event %s\n", e.Name)
		c.attributes(b, "    ", e.Attributes)
	}
	for _, l := range s.Links {
		fmt.Fprintf(b, "  link %s %s\n", c.id('T', l.TraceId), c.id('S', l.SpanId))
	}
}

func kindName(k trace.Span_SpanKind) string {
	return strings.TrimPrefix(k.String(), "SPAN_KIND_")
}

func statusText(s *trace.Status) string {
	code := strings.TrimPrefix(s.GetCode().String(), "STATUS_CODE_")
	if s.GetMessage() != "" {
		return fmt.Sprintf("%s %q", code, s.GetMessage())
	}
	return code
}

// id names an ID; the first one of its kind is number 1.
func (c *Canonical) id(kind byte, raw []byte) string {
	key := hex.EncodeToString(raw)
	if name, ok := c.Known[key]; ok {
		return name
	}
	if c.names == nil {
		c.names, c.count = map[string]string{}, map[byte]int{}
	}
	if _, ok := c.names[key]; !ok {
		c.count[kind]++
		c.names[key] = fmt.Sprintf("%c%d", kind, c.count[kind])
	}
	return c.names[key]
}

func (c *Canonical) attributes(b *strings.Builder, indent string, list []*common.KeyValue) {
	attrs := Attributes(list)
	peer := attrs["network.peer.port"]
	for _, k := range sortedKeys(attrs) {
		v := attrs[k]
		switch {
		case k == "network.peer.port" || k == "client.port" && v == peer:
			v = "PORT"
		case k == "server.port" && v == c.ServerPort && v != "":
			v = "SERVER"
		}
		v = c.withoutPorts(v)
		fmt.Fprintf(b, "%s%s = %s\n", indent, k, v)
	}
}

// withoutPorts writes words for ports, also within a URL.
func (c *Canonical) withoutPorts(v string) string {
	for port, word := range c.Ports {
		if v == port {
			return word
		}
		v = strings.ReplaceAll(strings.ReplaceAll(v, ":"+port, ":"+word), "%3A"+port, "%3A"+word)
	}
	return v
}

// Attributes returns a list of attributes as a map of text: strings quoted, so that a number and its digits differ.
func Attributes(list []*common.KeyValue) map[string]string {
	m := make(map[string]string, len(list))
	for _, kv := range list {
		if _, twice := m[kv.Key]; twice {
			m[kv.Key] += " AND AGAIN " + valueText(kv.Value)
			continue
		}
		m[kv.Key] = valueText(kv.Value)
	}
	return m
}

func valueText(v *common.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return strconv.Quote(v.StringValue)
	case *common.AnyValue_IntValue:
		return strconv.FormatInt(v.IntValue, 10)
	case *common.AnyValue_BoolValue:
		return strconv.FormatBool(v.BoolValue)
	case *common.AnyValue_DoubleValue:
		return strconv.FormatFloat(v.DoubleValue, 'g', -1, 64)
	case *common.AnyValue_ArrayValue:
		var list []string
		for _, e := range v.ArrayValue.Values {
			list = append(list, valueText(e))
		}
		return "[" + strings.Join(list, " ") + "]"
	}
	return fmt.Sprint(v)
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// Window is the time in which a span must lie: that of the request, as its sender saw it.
type Window struct{ From, To time.Time }

// clockSlack allows for the conversion of the kernel's boot clock into the wall clock.
const clockSlack = 2 * time.Millisecond

// Holds says whether a span started inside the window.
func (w Window) Holds(s Span) bool {
	start := time.Unix(0, int64(s.StartTimeUnixNano))
	return start.After(w.From.Add(-clockSlack)) && start.Before(w.To.Add(clockSlack))
}

// CheckTimes returns what is wrong with a span's times: an end before the start, or one of them outside the window.
func (w Window) CheckTimes(s Span) error {
	start, end := time.Unix(0, int64(s.StartTimeUnixNano)), time.Unix(0, int64(s.EndTimeUnixNano))
	if end.Before(start) {
		return fmt.Errorf("span %q ends %v before it starts", s.Name, start.Sub(end))
	}
	if !w.Holds(s) || end.After(w.To.Add(clockSlack)) {
		return fmt.Errorf("span %q %v–%v is not inside the request's %v–%v", s.Name, start, end, w.From, w.To)
	}
	return nil
}
