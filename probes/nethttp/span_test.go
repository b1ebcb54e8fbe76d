package nethttp

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/remora-agent/remora/probes"
)

// TestWholeSpan compares whole spans: a request with everything, and one with nothing.
func TestWholeSpan(t *testing.T) {
	full := sent{
		method: "POST", target: "/items/7?q=x&sig=secret", host: "10.0.0.1:8080", remoteAddr: "192.0.2.1:4711", userAgent: "curl/8.5",
		forwarded: `for="[2001:db8::17]:4712";host=shop.example:8443;proto=https`, traceState: "a=1,b=2", route: "POST /items/{id}",
	}
	full.fixed.Head.Start, full.fixed.Head.End = 5, 9
	full.fixed.Head.TraceId, full.fixed.Head.SpanId = [16]uint8{1, 2}, [8]uint8{3, 4}
	full.fixed.Head.ParentId, full.fixed.Head.RemoteParent, full.fixed.Head.TraceFlags = [8]uint8{5, 6}, 1, 1
	full.fixed.ProtoMajor, full.fixed.ProtoMinor = 1, 1
	full.fixed.HeaderWritten, full.fixed.Status, full.fixed.BodySize = 1, 503, 12
	tests := []struct {
		name string
		sent sent
		want *tracepb.Span
	}{
		{"everything", full, &tracepb.Span{
			TraceId:           []byte{1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
			SpanId:            []byte{3, 4, 0, 0, 0, 0, 0, 0},
			ParentSpanId:      []byte{5, 6, 0, 0, 0, 0, 0, 0},
			TraceState:        "a=1,b=2",
			Flags:             0x301,
			Name:              "POST /items/{id}",
			Kind:              tracepb.Span_SPAN_KIND_SERVER,
			StartTimeUnixNano: 1005, EndTimeUnixNano: 1009,
			Attributes: list(
				"http.request.method", "POST", "http.route", "/items/{id}",
				"url.path", "/items/7", "url.query", "q=x&sig=REDACTED", "url.scheme", "https",
				"server.address", "shop.example", "server.port", 8443,
				"client.address", "2001:db8::17", "client.port", 4712,
				"network.peer.address", "192.0.2.1", "network.peer.port", 4711,
				"network.protocol.version", "1.1", "user_agent.original", "curl/8.5",
				"http.response.status_code", 503, "http.response.body.size", 12, "error.type", "503"),
			Status: &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR},
		}},
		{"next to nothing", sent{method: "GET", target: "/"}, &tracepb.Span{
			TraceId: make([]byte, 16), SpanId: make([]byte, 8),
			Flags: 0x100, Name: "GET", Kind: tracepb.Span_SPAN_KIND_SERVER,
			StartTimeUnixNano: 1000, EndTimeUnixNano: 1000,
			Attributes: list(
				"http.request.method", "GET", "url.path", "/", "url.scheme", "http",
				"http.response.status_code", 200, "http.response.body.size", 0),
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, decode(t, tt.sent), protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// https://opentelemetry.io/docs/specs/semconv/http/http-spans/#name and the attribute http.request.method
func TestMethod(t *testing.T) {
	known := "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"
	other := func(original string) []*commonpb.KeyValue {
		return list("http.request.method", "_OTHER", "http.request.method_original", original)
	}
	is := func(method string) []*commonpb.KeyValue { return list("http.request.method", method) }
	tests := []struct {
		method, route, known string
		name                 string
		want                 []*commonpb.KeyValue
	}{
		{"GET", "", "", "GET", is("GET")},
		{"GET", "/items/{id}", "", "GET /items/{id}", is("GET")},
		{"PATCH", "", "", "PATCH", is("PATCH")},
		{"CONNECT", "", "", "CONNECT", is("CONNECT")},
		{"TRACE", "", "", "TRACE", is("TRACE")},
		{"QUERY", "", "", "QUERY", is("QUERY")},
		{"PROPFIND", "", "", "HTTP", other("PROPFIND")},
		{"PROPFIND", "/dav/", "", "HTTP /dav/", other("PROPFIND")},
		{"get", "", "", "HTTP", other("get")}, // methods are case-sensitive
		{"_OTHER", "", "", "HTTP", other("_OTHER")},
		{"PROPFIND", "", "GET, PROPFIND ,REPORT", "PROPFIND", is("PROPFIND")},
		{"REPORT", "", "GET, PROPFIND ,REPORT", "REPORT", is("REPORT")},
		{"POST", "", "GET", "HTTP", other("POST")}, // the list overrides, it does not add
		{"get", "", "get", "get", is("get")},
		{"POST", "", ",GET,,POST,", "POST", is("POST")},
		{"_OTHER", "", ",GET,,POST,", "HTTP", other("_OTHER")},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.known, func(t *testing.T) {
			s := get()
			s.method, s.route = tt.method, tt.route
			span := decode(t, s, known, tt.known)
			if span.Name != tt.name {
				t.Errorf("name %q, want %q", span.Name, tt.name)
			}
			got := only(span.Attributes, "http.request.method", "http.request.method_original")
			if diff := cmp.Diff(tt.want, got, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNoKnownMethods(t *testing.T) {
	for _, list := range []string{",", " ", " , "} {
		for _, decoder := range []func(func(string) string) (probes.Decoder, error){newServerDecoder, newClientDecoder} {
			if _, err := decoder(func(string) string { return list }); err == nil || !strings.Contains(err.Error(), "lists no method") {
				t.Errorf("%q: %v", list, err)
			}
		}
	}
}

func TestURL(t *testing.T) {
	tests := []struct {
		name, target string
		want         []*commonpb.KeyValue
	}{
		{"origin form", "/a/b", list("url.path", "/a/b")},
		{"query", "/a?b=c&d", list("url.path", "/a", "url.query", "b=c&d")},
		{"empty query", "/a?", list("url.path", "/a")},
		{"second question mark", "/a?b?c", list("url.path", "/a", "url.query", "b?c")},
		{"escaped", "/a%2Fb?c=%3F", list("url.path", "/a%2Fb", "url.query", "c=%3F")},
		{"two slashes", "//a/b", list("url.path", "//a/b")},
		{"a URL in the path", "/go/http://example.com/x?y", list("url.path", "/go/http://example.com/x", "url.query", "y")},
		{"absolute form", "http://shop.example/a?b", list("url.path", "/a", "url.query", "b")},
		{"absolute form without path", "http://shop.example", list("url.path", "/")},
		{"absolute form with query only", "http://shop.example?b", list("url.path", "/", "url.query", "b")},
		{"asterisk", "*", list("url.path", "*")},
		{"authority form", "shop.example:443", list("url.path", "")},
		{"nothing", "", list("url.path", "")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := get()
			s.target = tt.target
			got := only(decode(t, s).Attributes, "url.path", "url.query")
			if diff := cmp.Diff(tt.want, got, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/ and, for the first two, its earlier versions
func TestRedactQuery(t *testing.T) {
	tests := []struct{ query, want string }{
		{"a=b", "a=b"},
		{"AWSAccessKeyId=x", "AWSAccessKeyId=REDACTED"},
		{"Signature=x", "Signature=REDACTED"},
		{"sig=x", "sig=REDACTED"},
		{"X-Goog-Signature=x", "X-Goog-Signature=REDACTED"},
		{"X-Amz-Signature=x", "X-Amz-Signature=REDACTED"},
		{"X-Amz-Credential=x", "X-Amz-Credential=REDACTED"},
		{"X-Amz-Security-Token=x", "X-Amz-Security-Token=REDACTED"},
		{"a=1&sig=x&b=2&sig=y", "a=1&sig=REDACTED&b=2&sig=REDACTED"},
		{"sig=a=b", "sig=REDACTED"},
		{"sig=", "sig=REDACTED"},
		{"%73ig=secret&q=%41", "%73ig=REDACTED&q=%41"},
		{"%zz=1&sig=x", "%zz=1&sig=REDACTED"},
		{"sig", "sig"},
		{"SIG=x", "SIG=x"}, // keys are case-sensitive
		{"design=x&signature=y", "design=x&signature=y"},
		{"X-Amz-Date=x", "X-Amz-Date=x"},
		{"&&sig=x&", "&&sig=REDACTED&"},
	}
	for _, tt := range tests {
		if got := redactQuery(tt.query); got != tt.want {
			t.Errorf("redactQuery(%q) = %q, want %q", tt.query, got, tt.want)
		}
	}
}

// https://opentelemetry.io/docs/specs/semconv/http/http-spans/#setting-serveraddress-and-serverport-attributes
func TestServerAddressAndScheme(t *testing.T) {
	tests := []struct {
		name string
		sent sent
		tls  uint8
		want []*commonpb.KeyValue
	}{
		{"host", sent{host: "shop.example"}, 0, list("url.scheme", "http", "server.address", "shop.example")},
		{"host and port", sent{host: "shop.example:8080"}, 0,
			list("url.scheme", "http", "server.address", "shop.example", "server.port", 8080)},
		{"TLS", sent{host: "shop.example"}, 1, list("url.scheme", "https", "server.address", "shop.example")},
		{"no host", sent{}, 0, list("url.scheme", "http")},
		{"IPv6", sent{host: "[2001:db8::1]:80"}, 0,
			list("url.scheme", "http", "server.address", "2001:db8::1", "server.port", 80)},
		{"IPv6 without port", sent{host: "[2001:db8::1]"}, 0, list("url.scheme", "http", "server.address", "2001:db8::1")},
		{"IPv6 without brackets", sent{host: "2001:db8::1"}, 0, list("url.scheme", "http", "server.address", "2001:db8::1")},
		{"IPv6 zone", sent{host: "[fe80::1%eth0]:80"}, 0,
			list("url.scheme", "http", "server.address", "fe80::1%eth0", "server.port", 80)},
		{"port of letters", sent{host: "shop.example:http"}, 0, list("url.scheme", "http", "server.address", "shop.example")},
		{"no port after the colon", sent{host: "shop.example:"}, 0, list("url.scheme", "http", "server.address", "shop.example")},
		{"port too large", sent{host: "shop.example:65536"}, 0, list("url.scheme", "http", "server.address", "shop.example")},
		{"negative port", sent{host: "shop.example:-1"}, 0, list("url.scheme", "http", "server.address", "shop.example")},
		{"port 0", sent{host: "shop.example:0"}, 0, list("url.scheme", "http", "server.address", "shop.example")},
		{"port only", sent{host: ":8080"}, 0, list("url.scheme", "http")},
		{"X-Forwarded-Host", sent{host: "10.0.0.1", forwardedHost: "shop.example:8443, proxy"}, 0,
			list("url.scheme", "http", "server.address", "shop.example", "server.port", 8443)},
		{"Forwarded wins", sent{host: "10.0.0.1", forwardedHost: "other.example", forwarded: "host=shop.example"}, 0,
			list("url.scheme", "http", "server.address", "shop.example")},
		{"X-Forwarded-Proto", sent{host: "10.0.0.1", forwardedProto: "HTTPS, http"}, 0,
			list("url.scheme", "https", "server.address", "10.0.0.1")},
		{"Forwarded proto wins", sent{forwardedProto: "http", forwarded: "proto=https"}, 0, list("url.scheme", "https")},
		{"the proxy's TLS is not the client's", sent{forwardedProto: "http"}, 1, list("url.scheme", "http")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.sent.fixed.Tls = tt.tls
			got := only(decode(t, tt.sent).Attributes, "url.scheme", "server.address", "server.port")
			if diff := cmp.Diff(tt.want, got, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestClientAddress(t *testing.T) {
	peer := func(address string, port int) []any {
		return []any{"network.peer.address", address, "network.peer.port", port}
	}
	client := func(address string, port int, more ...any) []*commonpb.KeyValue {
		pairs := []any{"client.address", address}
		if port > 0 {
			pairs = append(pairs, "client.port", port)
		}
		return list(append(pairs, more...)...)
	}
	tests := []struct {
		name string
		sent sent
		want []*commonpb.KeyValue
	}{
		{"peer", sent{remoteAddr: "192.0.2.1:4711"}, client("192.0.2.1", 4711, peer("192.0.2.1", 4711)...)},
		{"IPv6 peer", sent{remoteAddr: "[2001:db8::1]:4711"}, client("2001:db8::1", 4711, peer("2001:db8::1", 4711)...)},
		{"unix socket", sent{remoteAddr: "@"}, nil},
		{"unix socket with a name", sent{remoteAddr: "/run/client.sock"},
			client("/run/client.sock", 0, "network.peer.address", "/run/client.sock")},
		{"unix socket behind a proxy", sent{remoteAddr: "@", forwardedFor: "192.0.2.7"}, client("192.0.2.7", 0)},
		{"no address", sent{}, nil},
		{"X-Forwarded-For", sent{remoteAddr: "10.0.0.9:80", forwardedFor: "192.0.2.7, 10.0.0.8"},
			client("192.0.2.7", 0, peer("10.0.0.9", 80)...)},
		{"X-Forwarded-For with a port", sent{remoteAddr: "10.0.0.9:80", forwardedFor: "192.0.2.7:99"},
			client("192.0.2.7", 99, peer("10.0.0.9", 80)...)},
		{"IPv6 in X-Forwarded-For", sent{remoteAddr: "10.0.0.9:80", forwardedFor: "2001:db8::7"},
			client("2001:db8::7", 0, peer("10.0.0.9", 80)...)},
		{"Forwarded wins", sent{remoteAddr: "10.0.0.9:80", forwardedFor: "192.0.2.7", forwarded: `for="192.0.2.8:5"`},
			client("192.0.2.8", 5, peer("10.0.0.9", 80)...)},
		{"unknown in Forwarded", sent{remoteAddr: "10.0.0.9:80", forwarded: "for=unknown"},
			client("10.0.0.9", 80, peer("10.0.0.9", 80)...)},
		{"empty X-Forwarded-For", sent{remoteAddr: "10.0.0.9:80", forwardedFor: " , 192.0.2.7"},
			client("10.0.0.9", 80, peer("10.0.0.9", 80)...)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := only(decode(t, tt.sent).Attributes, "client.address", "client.port", "network.peer.address", "network.peer.port")
			if diff := cmp.Diff(tt.want, got, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestProtocolVersion(t *testing.T) {
	tests := []struct {
		major, minor uint8
		want         string
	}{{1, 0, "1.0"}, {1, 1, "1.1"}, {2, 0, "2"}, {3, 0, "3"}, {1, 2, "1.2"}, {0, 9, ""}}
	for _, tt := range tests {
		s := get()
		s.fixed.ProtoMajor, s.fixed.ProtoMinor = tt.major, tt.minor
		var want []*commonpb.KeyValue
		if tt.want != "" {
			want = list("network.protocol.version", tt.want)
		}
		got := only(decode(t, s).Attributes, "network.protocol.version")
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("%d.%d: %s", tt.major, tt.minor, diff)
		}
	}
}

// https://pkg.go.dev/net/http#hdr-Patterns-ServeMux
func TestRoute(t *testing.T) {
	tests := []struct{ pattern, want string }{
		{"", ""},
		{"/", "/"},
		{"/items/{id}", "/items/{id}"},
		{"/files/{path...}", "/files/{path...}"},
		{"/{$}", "/{$}"},
		{"GET /items", "/items"},
		{"GET  \t/items", "/items"},
		{"shop.example/", "/"},
		{"shop.example:8080/items/", "/items/"},
		{"GET shop.example/items/{id}", "/items/{id}"},
		{"shop.example", ""},
	}
	for _, tt := range tests {
		if got := route(tt.pattern); got != tt.want {
			t.Errorf("route(%q) = %q, want %q", tt.pattern, got, tt.want)
		}
	}
}

// https://www.w3.org/TR/trace-context-2/#tracestate-header
func TestTraceState(t *testing.T) {
	many := strings.Repeat("k=v,", 32) + "l=v"
	long := "a=" + strings.Repeat("v", 257)
	keys := make([]string, 33)
	for i := range keys {
		keys[i] = "k" + strconv.Itoa(i) + "=v"
	}
	tests := []struct {
		name, header string
		parent       bool
		want         string
	}{
		{"one", "vendor=value", true, "vendor=value"},
		{"spaces", "a=1 , b=2", true, "a=1,b=2"},
		{"multi-tenant key", "fw529a3039@dt=v", true, "fw529a3039@dt=v"},
		{"no parent", "vendor=value", false, ""},
		{"none", "", true, ""},
		{"no value", "vendor", true, ""},
		{"upper case key", "Vendor=v", true, ""},
		{"the same key twice", many, true, ""},
		{"32 members", strings.Join(keys[:32], ","), true, strings.Join(keys[:32], ",")},
		{"33 members", strings.Join(keys, ","), true, ""},
		{"value too long", long, true, ""},
		{"not UTF-8", "a=\xff", true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := get()
			s.traceState = tt.header
			if tt.parent {
				s.fixed.Head.ParentId[0] = 1
			}
			if got := decode(t, s).TraceState; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
