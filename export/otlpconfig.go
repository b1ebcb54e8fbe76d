package export

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/resolver"
)

// Values of OTEL_EXPORTER_OTLP_PROTOCOL.
const (
	protocolHTTP = "http/protobuf"
	protocolJSON = "http/json"
	protocolGRPC = "grpc"
)

// otlpConfig is what this package must know of the OTLP settings. The clients read headers, compression and so on from the
// environment themselves, but ignore what they cannot parse after printing a line to stderr; so every variable they read is
// checked here first. The endpoint is handed to them, because they let OTEL_EXPORTER_OTLP_INSECURE overrule an https:// in
// it, against the specification, and default to https.
//
// Source: https://github.com/open-telemetry/opentelemetry-go/blob/v1.47.0/exporters/otlp/otlptrace/otlptracehttp/internal/otlpconfig/envconfig.go
type otlpConfig struct {
	protocol string
	endpoint string        // a URL; with gRPC it may be a name that gRPC resolves
	insecure bool          // without TLS, where the endpoint has no scheme that says so
	timeout  time.Duration // of one HTTP request
	tls      *tls.Config   // nil: the system's certificate authorities, no client certificate
}

const defaultOTLPTimeout = 10000 // milliseconds

func otlpConfigFromEnv(getenv func(string) string) (otlpConfig, error) {
	env := otlpEnv(getenv)
	var c otlpConfig
	var err error
	if c.protocol, err = env.oneOf("PROTOCOL", protocolHTTP, protocolHTTP, protocolGRPC, protocolJSON); err != nil {
		return otlpConfig{}, err
	}
	if c.endpoint, err = env.endpoint(c.protocol); err != nil {
		return otlpConfig{}, err
	}
	if c.timeout, err = env.timeout(); err != nil {
		return otlpConfig{}, err
	}
	if c.tls, err = env.tlsConfig(); err != nil {
		return otlpConfig{}, err
	}
	if _, err = env.oneOf("COMPRESSION", "none", "gzip", "none"); err != nil {
		return otlpConfig{}, err
	}
	anyCase := otlpEnv(func(name string) string { return strings.ToLower(getenv(name)) })
	insecure := "false"
	if strings.HasPrefix(c.endpoint, "unix:") {
		insecure = "true" // a socket file has no certificate
	}
	if insecure, err = anyCase.oneOf("INSECURE", insecure, "true", "false"); err != nil {
		return otlpConfig{}, err
	}
	c.insecure = insecure == "true"
	if err = env.checkHeaders(); err != nil {
		return otlpConfig{}, err
	}

	if c.tls != nil && strings.HasPrefix(c.endpoint, "http:") {
		return otlpConfig{}, fmt.Errorf("cannot send traces to %s with TLS certificates (use an https:// endpoint, or unset "+
			"OTEL_EXPORTER_OTLP_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE)", c.endpoint)
	}
	return c, nil
}

// otlpEnv looks up the OTEL_EXPORTER_OTLP_* variables.
type otlpEnv func(string) string

// names returns the two variables of a setting; the one for traces alone comes first, because it wins.
func (otlpEnv) names(setting string) [2]string {
	return [2]string{"OTEL_EXPORTER_OTLP_TRACES_" + setting, "OTEL_EXPORTER_OTLP_" + setting}
}

// value returns the variable that decides a setting and its value, or two empty strings.
func (e otlpEnv) value(setting string) (name, value string) {
	for _, name := range e.names(setting) {
		if value := strings.TrimSpace(e(name)); value != "" {
			return name, value
		}
	}
	return "", ""
}

// oneOf reads a setting that has few values. Both variables are checked, because the client reads both.
func (e otlpEnv) oneOf(setting, fallback string, allowed ...string) (string, error) {
	for _, name := range e.names(setting) {
		value := strings.TrimSpace(e(name))
		if value != "" && !slices.Contains(allowed, value) {
			return "", fmt.Errorf("cannot use %s=%q (use %s)", name, value, strings.Join(allowed, " or "))
		}
	}
	if _, value := e.value(setting); value != "" {
		return value, nil
	}
	return fallback, nil
}

func (e otlpEnv) timeout() (time.Duration, error) {
	names := e.names("TIMEOUT")
	n := defaultOTLPTimeout
	for _, name := range []string{names[1], names[0]} {
		var err error
		if n, err = positiveFromEnv(e, name, n); err != nil {
			return 0, err
		}
	}
	return milliseconds(n), nil
}

// checkHeaders refuses what the client would leave out. Values may be secrets, so no message shows one.
func (e otlpEnv) checkHeaders() error {
	for _, name := range e.names("HEADERS") {
		value := strings.TrimSpace(e(name))
		if value == "" {
			continue
		}
		for i, pair := range strings.Split(value, ",") {
			key, v, found := strings.Cut(pair, "=")
			_, err := url.PathUnescape(v)
			if !found || !isHeaderName(strings.TrimSpace(key)) || err != nil {
				return fmt.Errorf("cannot use %s: bad pair %d (use name=value,name=value with values percent-encoded)", name, i+1)
			}
		}
	}
	return nil
}

// isHeaderName reports whether s is a token of RFC 9110, section 5.6.2.
func isHeaderName(s string) bool {
	isTokenChar := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	}
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !isTokenChar(r) }) < 0
}

// endpoint returns the address that the client will use.
func (e otlpEnv) endpoint(protocol string) (string, error) {
	name, value := e.value("ENDPOINT")
	switch {
	case value == "" && protocol == protocolGRPC:
		return "http://localhost:4317", nil
	case value == "":
		return "http://localhost:4318/v1/traces", nil
	case protocol == protocolGRPC && grpcResolves(value):
		return value, nil
	}
	u, err := parseEndpoint(name, value, protocol)
	switch {
	case err != nil:
		return "", err
	case u.Scheme == "":
		return u.Host, nil
	}
	if protocol != protocolGRPC && name == e.names("ENDPOINT")[1] {
		u.Path = path.Join("/", u.Path, "v1/traces")
	}
	return u.String(), nil
}

// grpcResolves says whether an endpoint is a name of a kind that is gRPC's own to resolve: unix:, dns: and others.
func grpcResolves(endpoint string) bool {
	scheme, _, found := strings.Cut(endpoint, ":")
	return found && resolver.Get(strings.ToLower(scheme)) != nil
}

// parseEndpoint refuses an endpoint that the client would take for another one, or of which it would drop a part. With gRPC
// it may have no scheme.
func parseEndpoint(name, value, protocol string) (*url.URL, error) {
	bad := func(why, remedy string) (*url.URL, error) {
		return nil, fmt.Errorf("cannot use %s: %s (%s)", name, why, remedy)
	}
	example, address := "use a URL like http://localhost:4318", value
	if protocol == protocolGRPC {
		example = "use a URL like http://localhost:4317, or host:port"
		if !strings.Contains(value, "://") {
			address = "//" + value // a URL's part behind the scheme
		}
	}
	u, err := url.Parse(address)
	if err != nil {
		// The text of url.Parse's error repeats the value, with its password.
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err
		}
		return bad(err.Error(), example)
	}
	switch {
	case u.User != nil:
		return bad("a user name in the URL is not sent", "use OTEL_EXPORTER_OTLP_HEADERS=authorization=...")
	case u.Scheme != "http" && u.Scheme != "https" && (u.Scheme != "" || protocol != protocolGRPC):
		return bad(fmt.Sprintf("%q is no http or https URL", value), example)
	case u.Hostname() == "":
		return bad(fmt.Sprintf("no host in %q", value), example)
	case u.Port() != "" && !isPort(u.Port()):
		return bad("there is no port "+u.Port(), "use one from 1 to 65535")
	case protocol == protocolGRPC && strings.Trim(u.Path, "/") != "":
		return bad("a path in the URL is not sent with grpc", "leave it out")
	case u.RawQuery != "" || u.Fragment != "":
		return bad("a query in the URL is not sent", "leave it out")
	}
	return u, nil
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// tlsConfig reads the certificate files, nil if none is named.
func (e otlpEnv) tlsConfig() (*tls.Config, error) {
	var c tls.Config
	// The variables for traces alone come last here, so that they win; the others are checked all the same.
	for _, prefix := range []string{"OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"} {
		if err := e.readAuthorities(prefix+"CERTIFICATE", &c); err != nil {
			return nil, err
		}
		if err := e.readKeyPair(prefix+"CLIENT_CERTIFICATE", prefix+"CLIENT_KEY", &c); err != nil {
			return nil, err
		}
	}
	if c.RootCAs == nil && c.Certificates == nil {
		return nil, nil
	}
	return &c, nil
}

func (e otlpEnv) readAuthorities(name string, c *tls.Config) error {
	file := strings.TrimSpace(e(name))
	if file == "" {
		return nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("cannot use %s: %w", name, err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("cannot use %s: no PEM certificate in %s", name, file)
	}
	return nil
}

func (e otlpEnv) readKeyPair(certName, keyName string, c *tls.Config) error {
	cert, key := strings.TrimSpace(e(certName)), strings.TrimSpace(e(keyName))
	if cert == "" && key == "" {
		return nil
	}
	if cert == "" || key == "" {
		return fmt.Errorf("cannot use a client certificate: %s and %s belong together (set both)", certName, keyName)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("cannot use %s and %s: %w", certName, keyName, err)
	}
	c.Certificates = []tls.Certificate{pair}
	return nil
}
