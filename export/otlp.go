package export

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"google.golang.org/grpc/credentials"
)

// Delays between the attempts of one upload. The client's own first delay, 5 s, is long for a receiver that restarts.
const (
	retryInitial = time.Second
	retryMax     = 5 * time.Second
)

// otlp sends batches with one of OpenTelemetry's clients, which encode, compress and retry.
type otlp struct {
	client   otlptrace.Client
	endpoint string        // for messages
	timeout  time.Duration // for one batch, retries included
	status   *lastStatus   // nil for gRPC, whose errors tell the status
	wire     *wire
}

// newOTLP starts the client that the configuration asks for.
func newOTLP(cfg Config) (*otlp, error) {
	o := &otlp{endpoint: cfg.otlp.endpoint, timeout: cfg.ExportTimeout, wire: newWire()}
	if cfg.otlp.protocol == protocolGRPC {
		o.timeout = min(o.timeout, cfg.otlp.timeout) // the client's, which covers the retries too
		o.client = otlptracegrpc.NewClient(grpcOptions(cfg)...)
	} else {
		o.status = newLastStatus(cfg.otlp.tls)
		o.client = otlptracehttp.NewClient(
			otlptracehttp.WithEndpointURL(cfg.otlp.endpoint),
			// A transport of our own, for the answer's status and so that Shutdown can close its connections.
			otlptracehttp.WithHTTPClient(&http.Client{Transport: o.status, Timeout: cfg.otlp.timeout}),
			otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
				Enabled: true, InitialInterval: retryInitial, MaxInterval: retryMax, MaxElapsedTime: cfg.ExportTimeout,
			}),
		)
	}
	// Neither client connects here, so there is nothing to wait for.
	if err := o.client.Start(context.Background()); err != nil {
		return nil, fmt.Errorf("cannot start the OTLP client for %s: %w", o.endpoint, err)
	}
	return o, nil
}

func grpcOptions(cfg Config) []otlptracegrpc.Option {
	options := []otlptracegrpc.Option{otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{
		Enabled: true, InitialInterval: retryInitial, MaxInterval: retryMax, MaxElapsedTime: cfg.ExportTimeout,
	})}
	if strings.HasPrefix(cfg.otlp.endpoint, "http:") || strings.HasPrefix(cfg.otlp.endpoint, "https:") {
		return append(options, otlptracegrpc.WithEndpointURL(cfg.otlp.endpoint))
	}
	options = append(options, otlptracegrpc.WithEndpoint(cfg.otlp.endpoint))
	if cfg.otlp.insecure {
		return append(options, otlptracegrpc.WithInsecure())
	}
	return append(options, otlptracegrpc.WithTLSCredentials(credentials.NewTLS(cfg.otlp.tls)))
}

// send uploads one batch. It returns when the receiver has answered, or the batch's time is up, or ctx is done.
func (o *otlp) send(ctx context.Context, batch []item) outcome {
	if len(batch) == 0 {
		return outcome{}
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	if o.status != nil {
		o.status.code.Store(0)
	}
	prepared, err := o.wire.batch(batch)
	if err != nil {
		return outcome{failed: len(batch), err: err}
	}
	err = o.client.UploadTraces(ctx, group(prepared))
	if err == nil {
		return outcome{exported: len(batch)}
	}
	if rejected, message, ok := partialSuccess(err); ok {
		rejected = min(max(rejected, 0), len(batch))
		return outcome{exported: len(batch) - rejected, failed: rejected, err: rejectedError(o.endpoint, rejected, message)}
	}
	code := 0
	if o.status != nil {
		code = int(o.status.code.Load())
	}
	return outcome{failed: len(batch), err: uploadError(o.endpoint, code, o.timeout, err)}
}

// finish ends the client and its connections; nothing is buffered here.
func (o *otlp) finish(ctx context.Context) outcome {
	// Stop only fails when ctx is done already, and the client is stopped all the same.
	_ = o.client.Stop(ctx)
	if o.status != nil {
		o.status.CloseIdleConnections()
	}
	return outcome{}
}

// lastStatus is an HTTP transport that remembers the status code of the last answer, because the client's errors leave it out
// when the answer asks for a retry; and that refuses a success in another format than OTLP's, because the client takes it for one.
type lastStatus struct {
	*http.Transport
	code atomic.Int32
}

func newLastStatus(tlsConfig *tls.Config) *lastStatus {
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     tlsConfig,
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     90 * time.Second,
	}
	return &lastStatus{Transport: t}
}

// RoundTrip implements http.RoundTripper.
func (l *lastStatus) RoundTrip(r *http.Request) (*http.Response, error) {
	l.code.Store(0)
	response, err := l.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	l.code.Store(int32(response.StatusCode))
	if response.StatusCode/100 == 2 {
		if err := checkAnswer(response); err != nil {
			return nil, errors.Join(err, response.Body.Close())
		}
	}
	return response, nil
}

// checkAnswer refuses content that is not OTLP's, such as a web page. An empty answer may be of any type: many receivers send
// no ExportTraceServiceResponse.
//
// Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
func checkAnswer(response *http.Response) error {
	sent := response.Header.Get("Content-Type")
	mediaType, _, _ := mime.ParseMediaType(sent) // what is malformed is not OTLP's
	if mediaType == "application/x-protobuf" || mediaType == "application/json" {
		response.Header.Set("Content-Type", mediaType) // the client knows it without parameters only
		return nil
	}
	content := bufio.NewReader(response.Body)
	if _, err := content.Peek(1); err == nil {
		return fmt.Errorf("%s with content of type %q", response.Status, sent)
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{content, response.Body} // an error is the client's to find
	return nil
}
