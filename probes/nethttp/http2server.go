package nethttp

import "github.com/remora-agent/remora/probes"

const xnet = "golang.org/x/net/http2"

// HTTP2Server instruments the server of golang.org/x/net/http2 (https://pkg.go.dev/golang.org/x/net/http2#Server), which also serves
// h2c, as Server does that of net/http. Its traps are the entry of runHandler and that of its deferred function: two per request.
func HTTP2Server() probes.Probe {
	return http2Server(xnet+" server", xnet+".(*Server).ServeConn", http2Names{xnet, ""}, requestNames{"net/http.Request", "ctx"})
}

// serverRequest is what requests of internalHTTP2 are in.
func serverRequest() requestNames { return requestNames{internalHTTP2.typ("ServerRequest"), "Context"} }

// HTTP2ServerWrapper is the same for versions of golang.org/x/net/http2 that, from Go 1.27, have net/http serve their connections.
func HTTP2ServerWrapper() probes.Probe {
	return http2Server(xnet+" server by net/http", xnet+".(*serverConfig).ServeConnFunc", internalHTTP2, serverRequest())
}

// HTTP2ServerCopy is the same for net/http's own HTTP/2 from Go 1.27, where a profile has the compiler put a copy of serverHandler.ServeHTTP in the
// place of its call: no request comes to where Server waits for it.
func HTTP2ServerCopy() probes.Probe {
	p := http2Server("net/http server of HTTP/2, with a copy of its handler", serveHTTP, internalHTTP2, serverRequest())
	p.Library, p.NeedsIn = "net/http", http2Handler
	return p
}

func http2Server(name, needs string, home http2Names, request requestNames) probes.Probe {
	return probes.Probe{
		Name:    name,
		Library: xnet,
		Needs:   needs,
		Spec:    loadHttp2server,
		Programs: []probes.Program{
			{Name: http2serverProgHttp2RunHandler, Sites: []probes.Site{home.runHandler()}},
			{Name: http2serverProgHttp2HandlerDone, Sites: []probes.Site{home.handlerDone()}},
		},
		Constants:  requestConstants(request, home),
		NewDecoder: newServerDecoder,
	}
}
