package nethttp

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/probes"
)

// request is an event with its text.
type request struct {
	event                                                  *serverHttpServerEvent
	method, requestTarget, host, remoteAddr, userAgent     string
	forwarded, forwardedFor, forwardedProto, forwardedHost string
	traceState, route                                      string
	panic                                                  probes.Panic
}

// knownMethods follows the conventions: RFC 9110, PATCH and QUERY, unless the variable's list replaces them.
func knownMethods(getenv func(string) string) (methods []string, err error) {
	const variable = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"
	list := getenv(variable)
	if list == "" {
		return []string{"GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "CONNECT", "TRACE", "QUERY"}, nil
	}
	for method := range strings.SplitSeq(list, ",") {
		if method = strings.TrimSpace(method); method != "" {
			methods = append(methods, method)
		}
	}
	if len(methods) == 0 {
		return nil, fmt.Errorf("%s=%q: it lists no method (want names such as GET,POST, or unset it)", variable, list)
	}
	return methods, nil
}

// fill writes the request into the span by the stable conventions for HTTP servers:
// https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server-span
func (d *decoder) fill(span *tracepb.Span, r *request) {
	a := attributes{Cache: d.Cache, list: make([]*commonpb.KeyValue, 0, 16)}
	span.Name = a.method(d.methods, r.method)
	if r.route != "" {
		span.Name += " " + r.route
		a.text(semconv.HTTPRouteKey, r.route)
	}
	path, query := splitTarget(r.requestTarget)
	forwarded := parseForwarded(r.forwarded)
	a.own(semconv.URLPathKey, path)
	if query != "" {
		a.own(semconv.URLQueryKey, redactQuery(query))
	}
	a.text(semconv.URLSchemeKey, r.scheme(forwarded))
	a.address(semconv.ServerAddressKey, semconv.ServerPortKey, first(forwarded.host, firstOf(r.forwardedHost), r.host))
	r.addClient(&a, forwarded)
	if r.event.ProtoMajor > 0 {
		a.text(semconv.NetworkProtocolVersionKey, protocolVersion(r.event.ProtoMajor, r.event.ProtoMinor))
	}
	if r.userAgent != "" {
		a.text(semconv.UserAgentOriginalKey, r.userAgent)
	}
	setTraceState(span, r.traceState)
	r.addOutcome(&a, span)
	span.Attributes = a.list
}

// attributes collects a span's attributes.
type attributes struct {
	*probes.Cache
	list []*commonpb.KeyValue
}

func (a *attributes) text(key attribute.Key, value string) {
	a.list = append(a.list, a.String(string(key), value))
}

func (a *attributes) number(key attribute.Key, value int64) {
	a.list = append(a.list, a.Int(string(key), value))
}

// own adds a text that other spans hardly have.
func (a *attributes) own(key attribute.Key, value string) {
	a.list = append(a.list, probes.Attribute(string(key), value))
}

// address adds host and port of "host:port"; nothing if there is no host.
func (a *attributes) address(hostKey, portKey attribute.Key, hostPort string) {
	host, port := splitHostPort(hostPort)
	if host == "" {
		return
	}
	a.text(hostKey, host)
	if port > 0 {
		a.number(portKey, port)
	}
}

func (r *request) scheme(f forwarded) string {
	if s := first(f.proto, firstOf(r.forwardedProto)); s != "" {
		return strings.ToLower(s)
	}
	if r.event.Tls != 0 {
		return "https"
	}
	return "http"
}

// addClient: the client is the original one behind all proxies if they tell, else the peer of the connection.
func (r *request) addClient(a *attributes, f forwarded) {
	peer := r.remoteAddr
	if peer == "@" { // a Unix socket without a name
		peer = ""
	}
	a.address(semconv.ClientAddressKey, semconv.ClientPortKey, first(f.client, firstOf(r.forwardedFor), peer))
	a.address(semconv.NetworkPeerAddressKey, semconv.NetworkPeerPortKey, peer)
}

// addOutcome writes how the request ended: status code, body size, error.
func (r *request) addOutcome(a *attributes, span *tracepb.Span) {
	ev := r.event
	returned := ev.Unwound == 0
	status := int64(ev.Status)
	if ev.HeaderWritten == 0 {
		status = 0 // nothing was sent: the handler unwound, or took the connection and may have answered by itself
		if returned && ev.Hijacked == 0 {
			status = 200 // net/http's answer to a handler that writes nothing
		}
	}
	if status != 0 {
		a.number(semconv.HTTPResponseStatusCodeKey, status)
	}
	if returned && ev.Hijacked == 0 && r.method != "HEAD" {
		a.number(semconv.HTTPResponseBodySizeKey, ev.BodySize)
	}
	var errorType string
	switch {
	case uint32(ev.Panic.Kind) == bpf.PanicValue && !r.aborted():
		errorType = "panic"
		span.Events = append(span.Events, r.panic.Exception(span.EndTimeUnixNano))
	case uint32(ev.Panic.Kind) == bpf.PanicGoexit:
		errorType = "runtime.Goexit"
	case status >= 500:
		errorType = strconv.FormatInt(status, 10)
	}
	if errorType != "" {
		a.text(semconv.ErrorTypeKey, errorType)
		span.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR}
	}
}

func protocolVersion(major, minor uint8) string {
	switch {
	case major == 1 && minor == 1:
		return "1.1"
	case major == 1 && minor == 0:
		return "1.0"
	case minor == 0:
		return strconv.Itoa(int(major))
	}
	return strconv.Itoa(int(major)) + "." + strconv.Itoa(int(minor))
}

// aborted says whether the panic is http.ErrAbortHandler, by which a handler gives up on purpose.
func (r *request) aborted() bool {
	return r.panic.Text == "net/http: abort Handler" && r.panic.Type == "*errors.errorString"
}

// splitTarget takes path and query from a request target in any of its forms: /path?query, http://host/path, host:port, *.
func splitTarget(target string) (path, query string) {
	if !strings.HasPrefix(target, "/") {
		if _, rest, ok := strings.Cut(target, "://"); ok {
			end := strings.IndexAny(rest+"/", "/?")            // of the authority
			target = "/" + strings.TrimPrefix(rest[end:], "/") // an empty path is the root
		} else if target != "*" {
			return "", "" // CONNECT
		}
	}
	path, query, _ = strings.Cut(target, "?")
	return path, query
}

// redactQuery replaces the values that the conventions name as secrets, also where the name is percent-encoded.
func redactQuery(query string) string {
	if !strings.Contains(query, "ig") && !strings.Contains(query, "AWSAccessKeyId") && !strings.Contains(query, "X-Amz-") &&
		!strings.Contains(query, "%") {
		return query // the usual case: none of the names below is in it
	}
	params := strings.Split(query, "&")
	for i, p := range params {
		name, _, ok := strings.Cut(p, "=")
		if ok && secret(name) {
			params[i] = name + "=REDACTED"
		}
	}
	return strings.Join(params, "&")
}

// secret says whether a query parameter's value is a secret, by its name as it was sent.
func secret(name string) bool {
	if plain, err := url.QueryUnescape(name); err == nil {
		name = plain
	}
	switch name {
	case "AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature", "X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token":
		return true
	}
	return false
}

// route is the path part of a ServeMux pattern "[METHOD ][HOST]/[PATH]".
func route(pattern string) string {
	if i := strings.IndexByte(pattern, '/'); i >= 0 {
		return pattern[i:]
	}
	return ""
}

// splitHostPort copes with what it finds: "host", "host:port", "[v6]:port", "[v6]", a bare IPv6 address. port 0: none.
func splitHostPort(s string) (host string, port int64) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return strings.Trim(s, "[]"), 0
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return host, 0
	}
	return host, int64(n)
}

// first returns the first that is not empty.
func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// firstOf is the first element of a comma-separated header: what the first proxy wrote.
func firstOf(list string) string {
	s, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(s)
}
