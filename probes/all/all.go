// Package all lists the probes. The agent, the tests and the tools range over it; there is no other list.
package all

import (
	"github.com/remora-agent/remora/probes"
	"github.com/remora-agent/remora/probes/databasesql"
	"github.com/remora-agent/remora/probes/grpc"
	"github.com/remora-agent/remora/probes/nethttp"
)

// Probes returns every probe; its place in the list is the number in its events.
func Probes() []probes.Probe {
	return []probes.Probe{
		nethttp.Server(),
		nethttp.Client(),
		nethttp.HTTP2Client(),
		nethttp.HTTP2Server(),
		nethttp.HTTP2ServerWrapper(),
		nethttp.HTTP2ServerCopy(),
		grpc.Server(),
		grpc.Client(),
		databasesql.Probe(),
	}
}
