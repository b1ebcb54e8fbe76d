package nethttp

import (
	"net/url"
	"slices"
	"strconv"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// call is an event of the client with its text.
type call struct {
	event                               *clientHttpClientEvent
	method                              string
	scheme, host, path, query, fragment string
	traceState                          string
	failure                             string // the error's type; "" if there is none
}

// fill writes the call into the span by the stable conventions for HTTP clients:
// https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span
func (d *clientDecoder) fill(span *tracepb.Span, c *call) {
	a := attributes{Cache: d.Cache, list: make([]*commonpb.KeyValue, 0, 8)}
	span.Name = a.method(d.methods, first(c.method, "GET"))
	a.own(semconv.URLFullKey, c.url())
	host, port := splitHostPort(c.host)
	if port == 0 {
		port = defaultPort(c.scheme)
	}
	a.text(semconv.ServerAddressKey, host)
	if port != 0 {
		a.number(semconv.ServerPortKey, port)
	}
	if n := c.event.Resends; n > 0 {
		a.number(semconv.HTTPRequestResendCountKey, int64(n))
	}
	setTraceState(span, c.traceState)
	c.addOutcome(&a, span)
	span.Attributes = a.list
}

func (c *call) addOutcome(a *attributes, span *tracepb.Span) {
	failure := c.failure
	if c.event.ProtoMajor > 0 {
		a.text(semconv.NetworkProtocolVersionKey, protocolVersion(c.event.ProtoMajor, c.event.ProtoMinor))
	}
	if status := int64(c.event.Status); status != 0 {
		a.number(semconv.HTTPResponseStatusCodeKey, status)
		if status >= 400 {
			failure = strconv.FormatInt(status, 10)
		}
	}
	if failure != "" {
		a.text(semconv.ErrorTypeKey, failure)
		span.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
	}
}

// url is the request's URL without secrets.
func (c *call) url() string {
	ev := c.event
	u := url.URL{Scheme: c.scheme, Host: c.host, Path: c.path, RawQuery: redactQuery(c.query), Fragment: c.fragment, ForceQuery: ev.ForceQuery != 0}
	if ev.UserInfo != 0 {
		u.User = url.UserPassword("REDACTED", "REDACTED")
	}
	switch {
	case ev.Opaque != 0:
		u.Opaque, u.Path = c.path, ""
	case ev.Escaped != 0:
		if plain, err := url.PathUnescape(c.path); err == nil {
			u.Path, u.RawPath = plain, c.path
		}
	}
	return u.String()
}

func defaultPort(scheme string) int64 {
	switch scheme {
	case "http":
		return 80
	case "https":
		return 443
	}
	return 0
}

// method adds the request's method and returns the name that the span begins with.
func (a *attributes) method(known []string, method string) string {
	if slices.Contains(known, method) {
		a.text(semconv.HTTPRequestMethodKey, method)
		return method
	}
	a.text(semconv.HTTPRequestMethodKey, "_OTHER")
	a.text(semconv.HTTPRequestMethodOriginalKey, method)
	return "HTTP"
}

// setTraceState gives the span its parent's tracestate, if it is valid.
func setTraceState(span *tracepb.Span, text string) {
	if len(span.ParentSpanId) == 0 || text == "" {
		return
	}
	if state, err := trace.ParseTraceState(text); err == nil {
		span.TraceState = state.String()
	}
}
