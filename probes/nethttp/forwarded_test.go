package nethttp

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The examples are those of https://www.rfc-editor.org/rfc/rfc7239#section-4 and 7.1.
func TestParseForwarded(t *testing.T) {
	tests := []struct {
		name, header string
		want         forwarded
	}{
		{"empty", "", forwarded{}},
		{"for", "for=192.0.2.43", forwarded{client: "192.0.2.43"}},
		{"upper case", `For="[2001:db8:cafe::17]:4711"`, forwarded{client: "[2001:db8:cafe::17]:4711"}},
		{"all", "for=192.0.2.60;proto=http;by=203.0.113.43;host=a", forwarded{client: "192.0.2.60", proto: "http", host: "a"}},
		{"the first element", "for=192.0.2.43, for=198.51.100.17;host=b", forwarded{client: "192.0.2.43"}},
		{"obfuscated", "for=_gazonk;host=a", forwarded{host: "a"}},
		{"unknown", "for=Unknown", forwarded{}},
		{"spaces", " for = 192.0.2.43 ; host = a ", forwarded{client: "192.0.2.43", host: "a"}},
		{"separators in quotes", `host="a;b,c";for=d`, forwarded{host: "a;b,c", client: "d"}},
		{"escapes", `host="a\"b\\c"`, forwarded{host: `a"b\c`}},
		{"quote that does not end", `host="a;for=b`, forwarded{host: `"a;for=b`}},
		{"escape at the end", `host="a\`, forwarded{host: `"a\`}},
		{"no value", "for;host", forwarded{}},
		{"separators only", ";;,", forwarded{}},
		{"one quote", `for="`, forwarded{client: `"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, parseForwarded(tt.header), cmp.AllowUnexported(forwarded{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}
