package e2e

import (
	"strconv"
	"sync"
	"testing"

	"github.com/remora-agent/remora/internal/testenv"
)

// TestGRPCSteerStorm is TestSteerStorm for gRPC: while the runtime collects garbage all the time and checks what it marked, and a signal interrupts
// the program a thousand times a second, calls end as they should, and every one carries one traceparent.
func TestGRPCSteerStorm(t *testing.T) {
	for _, b := range relayBuilds() {
		t.Run(b.spec.String(), func(t *testing.T) {
			target, options := steered(t, b.spec)
			upstream := testenv.StartTarget(t, testenv.Build(t, b.spec), nil)
			agent := testenv.StartAgent(t, options)
			agent.WaitTraced(t, target.PID)
			stop := interrupt(target.PID)
			callAll(t, target, upstream, *requests, 1)
			stop()
			noneWithout(t, agent)
			if target.Exited() {
				t.Errorf("target is gone:\n%s", target.Output())
			}
		})
	}
}

// TestGRPCSteerUnreadable is TestSteerUnreadable for gRPC. The collector takes its time: a request whose message it takes goes without.
func TestGRPCSteerUnreadable(t *testing.T) {
	testenv.RequireRegisterWrites(t)
	for _, b := range relayBuilds() {
		t.Run(b.spec.String(), func(t *testing.T) {
			target := testenv.StartTarget(t, testenv.Build(t, b.spec), nil)
			upstream := testenv.StartTarget(t, testenv.Build(t, b.spec), nil)
			agent := testenv.StartAgent(t, testenv.AgentOptions{
				Args: []string{"--pid", strconv.Itoa(target.PID)}, Env: []string{"REMORA_INJECT=steer", "REMORA_TEST_FAIL_READ=2"},
			})
			agent.WaitTraced(t, target.PID)
			callAll(t, target, upstream, 5, 1)
		})
	}
}

// TestGRPCSteerVersions is TestSteerVersions for those of gRPC.
func TestGRPCSteerVersions(t *testing.T) {
	testenv.RequireRegisterWrites(t)
	for _, b := range grpcBuilds() {
		t.Run(b.spec.String(), func(t *testing.T) {
			target, options := steered(t, b.spec)
			upstream := testenv.StartTarget(t, testenv.Build(t, b.spec), nil)
			agent := testenv.StartAgent(t, options)
			agent.WaitTraced(t, target.PID)
			callAll(t, target, upstream, 5, 1)
		})
	}
}

// TestGRPCSteerAttachDetach: agents come and go while calls are on their way. A field is whole or not there, and no call fails.
func TestGRPCSteerAttachDetach(t *testing.T) {
	for _, b := range relayBuilds() {
		t.Run(b.spec.String(), func(t *testing.T) {
			target, options := steered(t, b.spec)
			upstream := testenv.StartTarget(t, testenv.Build(t, b.spec), nil)
			comeAndGo(t, target, options, func() { callAll(t, target, upstream, 5, 0) })
		})
	}
}

// TestGRPCSteerTwoAgents: of two agents at the same program, one steers a call's request; the other leaves it alone.
func TestGRPCSteerTwoAgents(t *testing.T) {
	for _, b := range relayBuilds() {
		t.Run(b.spec.String(), func(t *testing.T) {
			target, options := steered(t, b.spec)
			upstream := testenv.StartTarget(t, testenv.Build(t, b.spec), nil)
			for range 2 {
				testenv.StartAgent(t, options).WaitTraced(t, target.PID)
			}
			callAll(t, target, upstream, *requests, 1)
		})
	}
}

// callAll makes n calls of each kind, with TLS and without, that the target relays, eight kinds at once. Each has so many traceparents at
// least, and one at most.
func callAll(t *testing.T, target, upstream *testenv.Target, n, least int) {
	t.Helper()
	var group sync.WaitGroup
	for _, method := range []string{"Unary", "Upload", "Download", "Talk"} {
		for _, way := range []string{"plain", "tls"} {
			conn := dialGRPC(t, target, way, "")
			hop := method
			if way == "tls" {
				hop += "+tls"
			}
			group.Go(func() {
				for i := range n {
					r := rpc{method: "Unary", body: patterned(i % 5000), metadata: []string{"route", hop + "@" + upstream.Addr(way)}}
					got, err := r.do(conn)
					if err == nil {
						err = r.check(got)
					}
					if err != nil {
						t.Errorf("%s: %v", hop, err)
						return
					}
					seen := got.trailer["seen"]
					if len(seen) != 2 {
						t.Errorf("%s: seen %q, want what two processes saw", hop, seen)
					} else if valid := len(seen[1]) == len("[]")+len(traceparent); !valid && (least > 0 || seen[1] != "[]") {
						t.Errorf("%s: carries %s", hop, seen[1])
					}
				}
			})
		}
	}
	group.Wait()
}
