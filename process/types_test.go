package process

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTypeNames(t *testing.T) {
	for _, spec := range []buildSpec{{Go: "1.18.10"}, {Go: "1.23.12"}, {Go: "1.26.8", PIE: true}, {Go: "1.27.4"}, {Go: "1.27.4", PIE: true, Arch: "arm64"}} {
		t.Run(spec.String(), func(t *testing.T) {
			b := openFixture(t, stripped(spec))
			for _, name := range []string{
				"string", "int", "error", "*string",
				"*errors.errorString", "errors.errorString", "*main.problem", "main.Outer", "*main.Outer", "main.Table",
				"main.Pair[string,int]", "*main.Pair[int,*main.Outer]",
				"net/http.Header", "net/http.ResponseWriter", "*net/http.Request", "net/url.URL", "runtime.g",
			} {
				addrs := b.TypeAddrs(name)
				if len(addrs) == 0 {
					t.Errorf("no descriptor of %s", name)
				}
				for _, addr := range addrs {
					if got, ok := b.TypeName(addr); got != name || !ok {
						t.Errorf("TypeName(TypeAddrs(%q)) = %q, %v", name, got, ok)
					}
				}
			}
			for _, name := range []string{"", "*", "Request", "http.Request", "net/http.", "net/http.Absent", "x/net/http.Request", "[]"} {
				if addrs := b.TypeAddrs(name); addrs != nil {
					t.Errorf("TypeAddrs(%q) = %#x", name, addrs)
				}
			}
			for _, addr := range []uint64{0, 1, b.md.types - 8, b.md.etypes, ^uint64(7), b.md.text, b.TypeAddrs("string")[0] + 8} {
				if name, ok := b.TypeName(addr); ok {
					t.Errorf("TypeName(%#x) = %q", addr, name)
				}
			}
		})
	}
}

// TestIndexAgreesWithSearch looks every named type up in both ways.
func TestIndexAgreesWithSearch(t *testing.T) {
	b := openFixture(t, stripped(buildSpec{Go: "1.26.8"}))
	compared := 0
	for d := range b.allTypes() {
		name := b.canonical(d)
		if strings.ContainsAny(name, "{(") {
			continue // the index has named types only
		}
		found := b.searchTypelinks(name)
		if len(found) == 0 {
			continue
		}
		compared++
		slices.SortFunc(found, func(a, b descriptor) int { return int(a.addr) - int(b.addr) })
		if indexed := b.searchIndex(name); !slices.Equal(found, indexed) {
			t.Errorf("%s: binary search finds %v, the index %v", name, found, indexed)
		}
	}
	if compared < 500 {
		t.Errorf("only %d types were compared", compared)
	}
}

func TestPackageNames(t *testing.T) {
	for path, want := range map[string][]string{
		"net/http":                          {"http"},
		"errors":                            {"errors"},
		"github.com/redis/go-redis/v9":      {"go-redis", "redis", "go_redis"},
		"github.com/segmentio/kafka-go":     {"kafka-go", "kafka", "kafka_go"},
		"gopkg.in/yaml.v3":                  {"yaml"},
		"google.golang.org/grpc/internal/v": {"v"},
		"v2":                                {"v2"},
		"":                                  {""},
	} {
		if diff := cmp.Diff(want, packageNames(path)); diff != "" {
			t.Errorf("packageNames(%q) (-want +got):\n%s", path, diff)
		}
	}
}

func TestShortName(t *testing.T) {
	for name, want := range map[string]string{
		"http.Request":                 "Request",
		"github.com/x/y.v2.T":          "T",
		"main.Pair[string,net/http.T]": "Pair[string,net/http.T]",
		"string":                       "string",
		"[]http.Request":               "[]http.Request",
		"x.":                           "",
		"":                             "",
	} {
		if got := shortName(name); got != want {
			t.Errorf("shortName(%q) = %q, want %q", name, got, want)
		}
	}
}
