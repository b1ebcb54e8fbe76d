package probes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/testing/protocmp"
)

func TestCache(t *testing.T) {
	text := &commonpb.KeyValue{Key: "a", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: "1"}}}
	number := &commonpb.KeyValue{Key: "a", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: -2}}}
	c := NewCache()
	for range 2 { // made, and remembered
		if diff := cmp.Diff(text, c.String("a", "1"), protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(number, c.Int("a", -2), protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
		if got := c.Text([]byte("w\xffrld")); got != "w\uFFFDrld" {
			t.Errorf("text %q", got)
		}
	}
	if c.String("a", "2") == c.String("a", "1") || c.String("b", "1") == c.String("a", "1") || c.Int("a", 1) == c.Int("b", 1) {
		t.Error("two attributes are one")
	}
}

// A text that is remembered does not point into the event, whose memory is used again.
func TestCacheCopies(t *testing.T) {
	c := NewCache()
	event := []byte("hello")
	got := c.Text(event)
	copy(event, "HELLO")
	if got != "hello" || c.Text([]byte("hello")) != "hello" || c.Text(event) != "HELLO" {
		t.Errorf("remembered %q", got)
	}
}

// However many values there are, the cache stays small.
func TestCacheIsBounded(t *testing.T) {
	c := NewCache()
	for i := range 3 * cacheMax {
		s := strings.Repeat("x", 10) + fmt.Sprint(i)
		c.Text([]byte(s))
		c.String("key", s)
		c.Int("key", int64(i))
	}
	if len(c.texts) > cacheMax || len(c.attrs) > cacheMax || len(c.ints) > cacheMax {
		t.Errorf("%d texts, %d attributes, %d numbers", len(c.texts), len(c.attrs), len(c.ints))
	}
}

// What comes again costs nothing.
func TestCacheAllocations(t *testing.T) {
	c := NewCache()
	event := []byte("GET")
	n := testing.AllocsPerRun(100, func() { c.String("http.request.method", c.Text(event)); c.Int("http.response.status_code", 200) })
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}
