package export

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Failure is the error of an upload that lost spans.
type Failure struct {
	Destination string // where the spans were to go: a URL, or "the console"
	Cause       string // short and the same for the same cause, so that a log can name each cause once
	Remedy      string // what the user can do; may be empty
	Detail      string // what the receiver said, cleaned and cut; may be empty
	Err         error  // what the client returned
}

// Error returns one line.
func (f *Failure) Error() string {
	text := "cannot send traces to " + f.Destination + ": " + f.Cause
	if f.Detail != "" {
		text += ": " + f.Detail
	}
	if f.Remedy != "" {
		text += " (" + f.Remedy + ")"
	}
	return text
}

// Unwrap returns the client's error.
func (f *Failure) Unwrap() error { return f.Err }

// uploadError turns a client's error into a Failure. code is the HTTP status of the last answer, 0 if there was none.
func uploadError(endpoint string, code int, timeout time.Duration, err error) error {
	f := &Failure{Destination: endpoint, Cause: "upload failed", Detail: clean(err.Error()), Err: err}
	var (
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		timedOut    net.Error
		request     *url.Error
		rpc         = grpcStatus(err)
		ownTime     = rpc.Code() == codes.DeadlineExceeded || rpc.Code() == codes.Canceled // not the receiver's words
	)
	switch {
	case code/100 == 2:
		f.Cause, f.Remedy = "the answer is no OTLP", "is OTEL_EXPORTER_OTLP_ENDPOINT the URL of an OTLP receiver?"
		if errors.As(err, &request) {
			f.Detail = clean(request.Err.Error())
		}
	case code != 0:
		f.Cause = fmt.Sprintf("%d %s", code, http.StatusText(code))
		f.Remedy, f.Detail = statusRemedy(code), responseBody(err)
	case errors.Is(err, syscall.ECONNREFUSED), strings.Contains(rpc.Message(), syscall.ECONNREFUSED.Error()):
		f.Cause, f.Detail = "connection refused", ""
		f.Remedy = "is a collector listening there? set OTEL_EXPORTER_OTLP_ENDPOINT"
	case errors.As(err, &dns):
		f.Cause, f.Detail = "no such host "+clean(dns.Name), ""
		f.Remedy = "check the host name in OTEL_EXPORTER_OTLP_ENDPOINT"
	case errors.As(err, &certificate):
		f.Cause, f.Detail = "the certificate is not trusted", clean(certificate.Err.Error())
		f.Remedy = "set OTEL_EXPORTER_OTLP_CERTIFICATE to the file of its certificate authority"
	case errors.Is(err, http.ErrSchemeMismatch), strings.Contains(rpc.Message(), "first record does not look like a TLS handshake"):
		f.Cause, f.Detail, f.Remedy = "the receiver does not speak TLS", "", "use an http:// endpoint"
		if !strings.HasPrefix(endpoint, "https:") {
			f.Remedy += ", or set OTEL_EXPORTER_OTLP_INSECURE=true"
		}
	case strings.Contains(err.Error(), `malformed HTTP response "\x00\x00`), // a frame, with which every HTTP/2 server begins,
		strings.Contains(err.Error(), "readLoopPeekFailLocked: %!w(<nil>)"): // read before the request was written (net/http's words)
		f.Cause, f.Detail = "the receiver speaks gRPC", ""
		f.Remedy = "set OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or use its port for HTTP, which is 4318 as a rule"
	case rpc.Code() != codes.OK && !ownTime:
		f.Cause, f.Detail = "gRPC "+rpc.Code().String(), clean(rpc.Message())
		f.Remedy = grpcRemedy(rpc.Code())
	case rpc.Code() == codes.Canceled, errors.Is(err, context.Canceled):
		f.Cause, f.Detail, f.Remedy = "stopped before an answer came", "", ""
	case rpc.Code() == codes.DeadlineExceeded, errors.Is(err, context.DeadlineExceeded), errors.As(err, &timedOut) && timedOut.Timeout():
		f.Cause, f.Detail = fmt.Sprintf("no answer within %v", timeout), ""
		f.Remedy = "is the receiver overloaded? see OTEL_EXPORTER_OTLP_TIMEOUT and OTEL_BSP_EXPORT_TIMEOUT"
	}
	return f
}

func statusRemedy(code int) string {
	switch code {
	case http.StatusBadRequest:
		return "the receiver takes no OTLP here, or not this version"
	case http.StatusUnauthorized, http.StatusForbidden:
		return "set the credentials in OTEL_EXPORTER_OTLP_HEADERS"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return "check the path in OTEL_EXPORTER_OTLP_ENDPOINT"
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "retried until OTEL_BSP_EXPORT_TIMEOUT"
	default:
		return ""
	}
}

// grpcStatus returns the status that a gRPC receiver answered, nil, which counts as OK, if err holds none.
func grpcStatus(err error) *status.Status {
	var answer interface{ GRPCStatus() *status.Status }
	if errors.As(err, &answer) {
		return answer.GRPCStatus()
	}
	return nil
}

func grpcRemedy(code codes.Code) string {
	switch code {
	case codes.Unauthenticated, codes.PermissionDenied:
		return "set the credentials in OTEL_EXPORTER_OTLP_HEADERS"
	case codes.Unavailable:
		return "is an OTLP/gRPC receiver listening there? set OTEL_EXPORTER_OTLP_ENDPOINT"
	case codes.Unimplemented:
		return "the receiver takes no traces here"
	default:
		return ""
	}
}

// responseBody returns what the receiver wrote; the HTTP client puts it last in its errors, as "body: TEXT".
func responseBody(err error) string {
	_, body, found := strings.Cut(err.Error(), "body: ")
	body = strings.TrimSuffix(body, ")")
	if !found || strings.HasPrefix(body, "(empty") {
		return ""
	}
	return clean(body)
}

// clean makes a text from the network fit for one log line.
func clean(text string) string {
	const maxRunes = 200
	runes := []rune(printable(strings.TrimSpace(text)))
	if len(runes) > maxRunes {
		runes = append(runes[:maxRunes], '…')
	}
	return string(runes)
}

func rejectedError(endpoint string, rejected int, message string) error {
	cause := "the receiver rejected spans"
	if rejected == 0 {
		cause = "the receiver accepted the spans with a warning"
	}
	return &Failure{Destination: endpoint, Cause: cause, Detail: clean(message)}
}

// partialSuccess finds the error by which both clients report that the receiver took a part of the batch only. Its type is
// internal to each client, so it is found by name and read by its exported fields; a test holds both clients to it.
//
// Source: https://github.com/open-telemetry/opentelemetry-go/blob/v1.47.0/exporters/otlp/otlptrace/otlptracehttp/internal/partialsuccess.go
func partialSuccess(err error) (rejected int, message string, ok bool) {
	if v := reflect.ValueOf(err); v.Kind() == reflect.Struct && v.Type().Name() == "PartialSuccess" {
		n, text := v.FieldByName("RejectedItems"), v.FieldByName("ErrorMessage")
		if n.Kind() == reflect.Int64 && text.Kind() == reflect.String {
			return int(n.Int()), text.String(), true
		}
	}
	switch wrapped := err.(type) { //nolint:errorlint // walks the tree itself
	case interface{ Unwrap() error }:
		if inner := wrapped.Unwrap(); inner != nil {
			return partialSuccess(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range wrapped.Unwrap() {
			if rejected, message, ok = partialSuccess(inner); ok {
				return rejected, message, true
			}
		}
	}
	return 0, "", false
}
