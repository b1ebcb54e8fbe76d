package process

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// analyse does what the agent does with a new executable: it looks for the
// functions, fields and itabs that probes ask for.
func analyse(path string) error {
	b, err := Open(path)
	if err != nil {
		return err
	}
	defer b.Close()
	b.Functions("runtime.goexit", "net/http.serverHandler.ServeHTTP", "net/http.(*conn).serve*", "net/http.(*Transport).roundTrip",
		"database/sql.(*DB).queryDC", "google.golang.org/grpc.(*Server).handleStream", "example.com/absent.F")
	for _, f := range [][2]string{
		{"net/http.Request", "Method"}, {"net/http.Request", "URL.Path"}, {"net/http.response", "status"},
		{"net/url.URL", "RawQuery"}, {"runtime.g", "goid"}, {"google.golang.org/grpc.ClientConn", "target"}, {"example.com/absent.T", "F"},
	} {
		_, _ = b.Field(f[0], f[1]) // absent types are part of the work
	}
	_, _ = b.Map("net/http.Header")
	b.Itabs("net/http.ResponseWriter", "*net/http.response")
	b.TypeAddrs("*errors.errorString")
	return nil
}

// BenchmarkAnalyse reports, as x-read, how much longer an analysis takes than
// reading the file once from the page cache.
func BenchmarkAnalyse(b *testing.B) {
	for _, path := range bigExecutables() {
		b.Run(filepath.Base(path), func(b *testing.B) {
			if _, err := os.ReadFile(path); err != nil { // warms the page cache
				b.Fatal(err)
			}
			start := time.Now()
			contents, err := os.ReadFile(path)
			if err != nil {
				b.Fatal(err)
			}
			reading := time.Since(start)
			for b.Loop() {
				if err := analyse(path); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(reading), "x-read")
			b.ReportMetric(float64(len(contents))/(1<<20), "MB")
		})
	}
}

// bigExecutables lists real programs of this machine, and the test itself.
func bigExecutables() []string {
	paths := []string{"/proc/self/exe"}
	for _, path := range []string{"/usr/bin/kubectl", "/usr/local/bin/docker", "/usr/bin/dockerd", "/usr/bin/containerd", "/usr/bin/prometheus"} {
		if _, err := os.Stat(path); err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}
