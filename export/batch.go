package export

import (
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// item is one span on its way, with what it belongs to.
type item struct {
	resource *resourcepb.Resource
	scope    *commonpb.InstrumentationScope
	span     *tracepb.Span
}

// group arranges a batch as OTLP wants it: spans by scope, scopes by resource, all in order of first appearance. Resources
// and scopes are told apart by pointer: the agent holds one resource per process and one scope per probe.
func group(batch []item) []*tracepb.ResourceSpans {
	var (
		out        []*tracepb.ResourceSpans
		byResource = make(map[*resourcepb.Resource]*tracepb.ResourceSpans)
		last       item                // of the previous span, because neighbours mostly belong together
		lastSpans  *tracepb.ScopeSpans // where that span went
	)
	for _, it := range batch {
		if lastSpans == nil || it.resource != last.resource || it.scope != last.scope {
			rs := byResource[it.resource]
			if rs == nil {
				rs = &tracepb.ResourceSpans{Resource: it.resource, SchemaUrl: semconv.SchemaURL}
				byResource[it.resource] = rs
				out = append(out, rs)
			}
			last, lastSpans = it, scopeSpans(rs, it.scope)
		}
		lastSpans.Spans = append(lastSpans.Spans, it.span)
	}
	return out
}

// scopeSpans returns the spans of a scope in rs. A process has a handful of scopes at most, so a search is enough.
func scopeSpans(rs *tracepb.ResourceSpans, scope *commonpb.InstrumentationScope) *tracepb.ScopeSpans {
	for _, ss := range rs.ScopeSpans {
		if ss.Scope == scope {
			return ss
		}
	}
	ss := &tracepb.ScopeSpans{Scope: scope, SchemaUrl: semconv.SchemaURL}
	rs.ScopeSpans = append(rs.ScopeSpans, ss)
	return ss
}
