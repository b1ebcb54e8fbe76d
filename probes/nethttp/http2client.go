package nethttp

import "github.com/remora-agent/remora/probes"

// HTTP2Client instruments the client of golang.org/x/net/http2 (https://xnet.go.dev/golang.org/x/net/http2#Transport) as Client does
// that of net/http. A round trip that comes by way of net/http's Transport is that one's span, or the other way round: the outer
// one counts.
func HTTP2Client() probes.Probe {
	names := http2Names{xnet, ""}
	// RoundTrip only calls one of these, and is inlined where a program calls it by itself. The first is from November 2025.
	const now, before = xnet + ".(*Transport).roundTripOpt", xnet + ".(*Transport).RoundTripOpt"
	return probes.Probe{
		Name:    xnet + " client",
		Library: xnet,
		Spec:    loadHttp2client,
		Programs: []probes.Program{
			{Name: http2clientProgHttp2RoundTrip, Sites: []probes.Site{{Func: now}, {Func: before}}},
			{Name: http2clientProgHttp2Stream, Injects: true, Steers: true, Optional: true, Unless: parentGoid(), Sites: names.stream()},
			{Name: http2clientProgHttp2WriteFrame, Injects: true, Optional: true, Sites: names.flush()},
			{Name: http2clientProgHttp2SteerFields, Injects: true, Steers: true, InsteadOf: http2clientProgHttp2WriteFrame, Optional: true,
				Sites: []probes.Site{names.encode()}},
			{Name: http2clientProgHttp2SteerFieldsReturn, Injects: true, Steers: true, InsteadOf: http2clientProgHttp2WriteFrame, Optional: true,
				Sites: names.encoded()},
			{Name: http2clientProgHttp2RoundTripReturn, Sites: []probes.Site{
				{Func: now, Return: true, Results: 2}, {Func: before, Return: true, Results: 2},
			}},
		},
		Constants:  callConstants(names),
		NewDecoder: newClientDecoder,
	}
}
