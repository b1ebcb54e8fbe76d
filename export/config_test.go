package export

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestConfigFromEnv(t *testing.T) {
	standard := func(change func(*Config)) Config {
		c := Config{
			Exporters: []string{"otlp"}, ScheduleDelay: time.Second, ExportTimeout: 30 * time.Second,
			MaxQueueSize: 16384, MaxBatchSize: 1024,
			otlp: otlpConfig{
				protocol: "http/protobuf", endpoint: "http://localhost:4318/v1/traces", timeout: 10 * time.Second,
			},
		}
		change(&c)
		return c
	}
	tests := []struct {
		about string
		env   map[string]string
		want  Config
	}{
		{"defaults", nil, standard(func(*Config) {})},
		{"disabled", map[string]string{"OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_EXPORTER": "nonsense"}, Config{Disabled: true}},
		{"none", map[string]string{"OTEL_TRACES_EXPORTER": "none"}, standard(func(c *Config) { c.Exporters, c.otlp = nil, otlpConfig{} })},
		{"console alone does not look at OTLP", map[string]string{
			"OTEL_TRACES_EXPORTER": "console", "OTEL_EXPORTER_OTLP_ENDPOINT": "nonsense",
		}, standard(func(c *Config) { c.Exporters, c.otlp = []string{"console"}, otlpConfig{} })},
		{"several", map[string]string{"OTEL_TRACES_EXPORTER": "console, otlp,console", "OTEL_SDK_DISABLED": "false"},
			standard(func(c *Config) { c.Exporters = []string{"console", "otlp"} })},
		{"batches", map[string]string{
			"OTEL_BSP_SCHEDULE_DELAY": "200", "OTEL_BSP_EXPORT_TIMEOUT": "5000", "OTEL_BSP_MAX_QUEUE_SIZE": "100",
			"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": " 500 ",
		}, standard(func(c *Config) {
			c.ScheduleDelay, c.ExportTimeout, c.MaxQueueSize, c.MaxBatchSize = 200*time.Millisecond, 5*time.Second, 100, 100
		})},
		{"base endpoint", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4318/base/"},
			standard(func(c *Config) { c.otlp.endpoint = "https://collector:4318/base/v1/traces" })},
		{"traces go first", map[string]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b:2/x",
			"OTEL_EXPORTER_OTLP_TIMEOUT": "1", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "2000",
			"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
			"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_EXPORTER_OTLP_HEADERS": "a=1, b=%20",
		}, standard(func(c *Config) {
			c.otlp = otlpConfig{protocol: "http/protobuf", endpoint: "http://b:2/x", timeout: 2 * time.Second}
		})},
		{"grpc", map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
			standard(func(c *Config) { c.otlp.protocol, c.otlp.endpoint = "grpc", "http://localhost:4317" })},
		{"grpc by host and port", map[string]string{
			"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317", "OTEL_EXPORTER_OTLP_INSECURE": "True",
		}, standard(func(c *Config) { c.otlp.protocol, c.otlp.endpoint, c.otlp.insecure = "grpc", "collector:4317", true })},
		{"grpc by a base URL that another protocol uses", map[string]string{
			"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/base",
			"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "HTTPS://collector:4317/",
		}, standard(func(c *Config) { c.otlp.protocol, c.otlp.endpoint = "grpc", "https://collector:4317/" })},
	}
	for _, tt := range tests {
		t.Run(tt.about, func(t *testing.T) {
			got, err := ConfigFromEnv(envOf(tt.env), "otlp")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(Config{}, otlpConfig{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
		})
	}
}

// TestGRPCEndpoints: what gRPC can resolve is handed to it.
func TestGRPCEndpoints(t *testing.T) {
	for _, tt := range []struct {
		endpoint, want string
		insecure       bool
	}{
		{"localhost:4317", "localhost:4317", false},
		{"127.0.0.1:4317", "127.0.0.1:4317", false},
		{"[::1]:4317", "[::1]:4317", false},
		{"my_collector:4317", "my_collector:4317", false},
		{"collector.example:4317/", "collector.example:4317", false},
		{"dns:///collector:4317", "dns:///collector:4317", false},
		{"dns:collector:4317", "dns:collector:4317", false},
		{"passthrough:///10.0.0.5:4317", "passthrough:///10.0.0.5:4317", false},
		{"unix:/run/collector.sock", "unix:/run/collector.sock", true},
		{"unix:///run/collector.sock", "unix:///run/collector.sock", true},
		{"HTTP://10.0.0.5:4317", "http://10.0.0.5:4317", false},
	} {
		cfg, err := ConfigFromEnv(envOf(map[string]string{
			"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": tt.endpoint,
		}), "otlp")
		if err != nil || cfg.otlp.endpoint != tt.want || cfg.otlp.insecure != tt.insecure {
			t.Errorf("%s: %+v, %v, want %+v", tt.endpoint, cfg.otlp, err, tt)
		}
	}
}

func TestConfigFromEnvErrors(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		env  string // NAME=value, several separated by a space
		want string
	}{
		{"OTEL_SDK_DISABLED=yes", `cannot use OTEL_SDK_DISABLED="yes" (use true or false)`},
		{"OTEL_TRACES_EXPORTER=zipkin", `cannot use OTEL_TRACES_EXPORTER="zipkin": no exporter "zipkin" (use otlp, console, both`},
		{"OTEL_TRACES_EXPORTER=none,otlp", `none excludes all others`},
		{"OTEL_TRACES_EXPORTER=otlp,", `no exporter ""`},
		{"OTEL_BSP_SCHEDULE_DELAY=1s", `cannot use OTEL_BSP_SCHEDULE_DELAY="1s" (use a whole number greater than 0)`},
		{"OTEL_BSP_EXPORT_TIMEOUT=0", `cannot use OTEL_BSP_EXPORT_TIMEOUT="0"`},
		{"OTEL_BSP_MAX_QUEUE_SIZE=-1", `cannot use OTEL_BSP_MAX_QUEUE_SIZE="-1"`},
		{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE=99999999999", `cannot use OTEL_BSP_MAX_EXPORT_BATCH_SIZE="99999999999"`},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=http", `cannot use OTEL_EXPORTER_OTLP_PROTOCOL="http" (use http/protobuf or grpc or http/json)`},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=localhost:4318", `cannot use OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "localhost:4318" is no http or https URL (use a URL like http://localhost:4318)`},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=127.0.0.1:4318", `first path segment in URL cannot contain colon (use a URL like`},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://", `no host in "http://"`},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://h/?key=1", `a query in the URL is not sent`},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://u:secret@h", `a user name in the URL is not sent (use OTEL_EXPORTER_OTLP_HEADERS`},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://u:secret@h:x", `cannot use OTEL_EXPORTER_OTLP_ENDPOINT: `},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:99999", `cannot use OTEL_EXPORTER_OTLP_ENDPOINT: there is no port 99999 (use one from 1 to 65535)`},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_ENDPOINT=ftp://x", `cannot use OTEL_EXPORTER_OTLP_ENDPOINT: "ftp://x" is no http or https URL (use a URL like http://localhost:4317, or host:port)`},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://h:4317/path", `cannot use OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: a path in the URL is not sent with grpc (leave it out)`},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_ENDPOINT=h:4317/path", `a path in the URL is not sent with grpc`},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_ENDPOINT=127.0.0.1:70000", `there is no port 70000`},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_ENDPOINT=:4317", `no host in ":4317"`},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_EXPORTER_OTLP_ENDPOINT=u:secret@h:4317", `a user name in the URL is not sent`},
		{"OTEL_EXPORTER_OTLP_TIMEOUT=10s", `cannot use OTEL_EXPORTER_OTLP_TIMEOUT="10s"`},
		{"OTEL_EXPORTER_OTLP_COMPRESSION=zstd", `cannot use OTEL_EXPORTER_OTLP_COMPRESSION="zstd" (use gzip or none)`},
		{"OTEL_EXPORTER_OTLP_INSECURE=1", `cannot use OTEL_EXPORTER_OTLP_INSECURE="1" (use true or false)`},
		{"OTEL_EXPORTER_OTLP_HEADERS=a=1,secret", `cannot use OTEL_EXPORTER_OTLP_HEADERS: bad pair 2`},
		{"OTEL_EXPORTER_OTLP_TRACES_HEADERS=a=%zzsecret", `cannot use OTEL_EXPORTER_OTLP_TRACES_HEADERS: bad pair 1`},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE=/does/not/exist", `cannot use OTEL_EXPORTER_OTLP_CERTIFICATE: open /does/not/exist: no such file`},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE=" + empty, `no PEM certificate in ` + empty},
		{"OTEL_EXPORTER_OTLP_CLIENT_KEY=/k", `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY belong together`},
		{"OTEL_EXPORTER_OTLP_CLIENT_KEY=/k OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=/c", `open /c: no such file`},
	}
	for _, tt := range tests {
		env := make(map[string]string)
		for _, pair := range strings.Fields(tt.env) {
			name, value, _ := strings.Cut(pair, "=")
			env[name] = value
		}
		_, err := ConfigFromEnv(envOf(env), "otlp")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s\n got %v\nwant %v", tt.env, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the message shows a secret: %v", tt.env, err)
		}
	}
}
