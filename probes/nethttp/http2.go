package nethttp

import (
	"fmt"

	"github.com/remora-agent/remora/probes"
)

// http2Names are the names of one of the three homes that Go's HTTP/2 has: net/http (its types begin with a prefix), from Go
// 1.27 net/http/internal/http2, and golang.org/x/net/http2.
type http2Names struct{ pkg, prefix string }

// net/http's own packages: up to Go 1.26, and since.
var bundledHTTP2, internalHTTP2 = http2Names{"net/http", "http2"}, http2Names{"net/http/internal/http2", ""}

func (n http2Names) typ(name string) string { return n.pkg + "." + n.prefix + name }

func (n http2Names) method(typ, name string) string {
	return fmt.Sprintf("%s.(*%s%s).%s", n.pkg, n.prefix, typ, name)
}

// fieldOf returns a field of the type that has this name in each home.
func fieldOf(homes []http2Names, typ, path string) probes.Fields {
	var fields probes.Fields
	for _, n := range homes {
		fields = append(fields, probes.Field{Type: n.typ(typ), Path: path})
	}
	return fields
}

// stream is where a client's stream's goroutine begins, flush where it has written the headers.
func (n http2Names) stream() []probes.Site {
	return []probes.Site{{Func: n.method("clientStream", "doRequest")}}
}

// encode is where a client begins to encode a request's header, encoded where the last of its fields is encoded.
func (n http2Names) encode() probes.Site {
	return probes.Site{Func: n.method("clientStream", "encodeAndWriteHeaders")}
}

func (n http2Names) encoded() []probes.Site {
	site := n.encode()
	site.Results = 4 // what they return differs: any of it is to stay
	var sites []probes.Site
	for _, by := range []string{n.method("ClientConn", "encodeHeaders"), n.typ("encodeRequestHeaders")} {
		site.Back = by
		sites = append(sites, site)
	}
	return sites
}

func (n http2Names) flush() []probes.Site {
	return []probes.Site{{Func: n.method("ClientConn", "writeHeaders"), At: "bufio.(*Writer).Flush"}}
}

// runHandler is where a server's stream's goroutine begins, handlerDone what it runs at its end.
func (n http2Names) runHandler() probes.Site {
	return probes.Site{Func: n.method("serverConn", "runHandler")}
}

func (n http2Names) handlerDone() probes.Site {
	return probes.Site{Func: n.runHandler().Func + ".func*", Calls: "runtime.gorecover"}
}

func parentGoid() probes.Field { return probes.Field{Type: "runtime.g", Path: "parentGoid"} } // Go 1.21+
