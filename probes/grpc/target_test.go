package grpc

import "testing"

func TestEndpoint(t *testing.T) {
	for _, tt := range []struct{ target, want string }{
		{"example.com:443", "example.com:443"},
		{"example.com", "example.com"},
		{"127.0.0.1:80", "127.0.0.1:80"},
		{"[::1]:80", "[::1]:80"},
		{"dns:example.com", "example.com"},
		{"dns:///example.com:443", "example.com:443"},
		{"dns://8.8.8.8/example.com:443", "example.com:443"},
		{"passthrough:///bufnet", "bufnet"},
		{"unix:/run/x.sock", "/run/x.sock"},
		{"unix:x.sock", "x.sock"},
		{"unix:///run/x.sock", "/run/x.sock"},
		{"unix-abstract:name", "name"},
		{"ipv4:192.0.2.1:80,192.0.2.2:80", "192.0.2.1:80,192.0.2.2:80"},
		{"xds:///service", "service"},
		{"custom:///a/b", "a/b"},
		{"custom://", ""},
		{"", ""},
	} {
		if got := endpoint(tt.target); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.target, got, tt.want)
		}
	}
}
