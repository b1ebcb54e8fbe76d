package e2e

import (
	"flag"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/remora-agent/remora/internal/testenv"
)

var rounds = flag.Int("rounds", 3, "how `many` agents come and go, or are killed, under load")

// steered starts a fixture whose runtime is made to check much and an agent that steers. A test that cannot have one is skipped.
func steered(t *testing.T, spec testenv.BuildSpec) (*testenv.Target, testenv.AgentOptions) {
	t.Helper()
	testenv.RequireRegisterWrites(t)
	target := testenv.StartTarget(t, testenv.Build(t, spec), []string{"GODEBUG=gccheckmark=1", "GOGC=5"})
	return target, testenv.AgentOptions{Args: []string{"--pid", strconv.Itoa(target.PID)}, Env: []string{"REMORA_INJECT=steer"}}
}

// TestSteerStorm: while the runtime collects garbage all the time and checks what it marked, and a signal interrupts the program a
// thousand times a second, requests on 65 connections are what they were, and every one carries one traceparent. -requests says how many.
func TestSteerStorm(t *testing.T) {
	for _, spec := range injectBuilds("testdata/xnet") {
		t.Run(spec.String(), func(t *testing.T) {
			target, options := steered(t, spec)
			agent := testenv.StartAgent(t, options)
			agent.WaitTraced(t, target.PID)
			stop := interrupt(target.PID)
			sendAll(t, target, *requests, 13, 1)
			stop()
			if target.Exited() {
				t.Errorf("target is gone:\n%s", target.Output())
			}
			noneWithout(t, agent)
		})
	}
}

// interrupt sends a process the signal by which its runtime preempts goroutines, a thousand times a second.
func interrupt(pid int) (stop func()) {
	end := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-end:
				return
			case <-ticker.C:
				syscall.Kill(pid, syscall.SIGURG) // the process may be gone, which the test finds out
			}
		}
	})
	return func() { close(end); group.Wait() }
}

// TestSteerAttachDetach: agents come and go while requests are on their way. A header is whole or not there, and no request fails.
func TestSteerAttachDetach(t *testing.T) {
	for _, spec := range injectBuilds("testdata/xnet") {
		t.Run(spec.String(), func(t *testing.T) {
			target, options := steered(t, spec)
			comeAndGo(t, target, options, func() { sendAll(t, target, 20, 1, 0) })
		})
	}
}

// sendSteered sends requests in every way: all carry one traceparent.
func sendSteered(t *testing.T, spec testenv.BuildSpec, env ...string) {
	t.Helper()
	target, options := steered(t, spec)
	options.Env = append(options.Env, env...)
	agent := testenv.StartAgent(t, options)
	agent.WaitTraced(t, target.PID)
	sendAll(t, target, 20, 1, 1)
	noneWithout(t, agent)
	noneLost(t, agent)
}

// TestSteerUnreadable: the kernel may be moving a page just when a program wants to read it, where a call begins, and in the middle of a header. Here
// each second such read fails: requests are what they were, and carry one traceparent, and no span is lost.
func TestSteerUnreadable(t *testing.T) {
	for _, spec := range injectBuilds("testdata/xnet") {
		t.Run(spec.String(), func(t *testing.T) { sendSteered(t, spec, "REMORA_TEST_FAIL_READ=2") })
	}
}

// TestSteerVersions: requests of programs of every version of Go, however they are linked, carry one traceparent.
func TestSteerVersions(t *testing.T) {
	const dir = "testdata/xnet"
	builds := []testenv.BuildSpec{
		{Dir: dir, Go: newest(), ModFile: "wrapped.mod"}, {Dir: dir, Go: newest(), External: true}, {Dir: dir, Go: newest(), Stripped: true, PIE: true},
		{Dir: dir, Go: goVersions[0], External: true}, {Dir: dir, Go: goVersions[0], Stripped: true, PIE: true},
	}
	for _, version := range goVersions {
		builds = append(builds, testenv.BuildSpec{Dir: dir, Go: version, Stripped: true})
	}
	for _, spec := range builds {
		t.Run(spec.String(), func(t *testing.T) { sendSteered(t, spec) })
	}
}

// TestSteerPairs: a program's read-only memory may not have all pairs of digits. Here each second counts as missing: requests carry one traceparent
// all the same.
func TestSteerPairs(t *testing.T) {
	for _, spec := range injectBuilds("testdata/xnet") {
		t.Run(spec.String(), func(t *testing.T) { sendSteered(t, spec, "REMORA_TEST_FAIL_PAIR=2") })
	}
}

// TestSteerKilled: agents that are killed while requests are on their way damage none.
func TestSteerKilled(t *testing.T) {
	for _, spec := range injectBuilds("testdata/xnet") {
		t.Run(spec.String(), func(t *testing.T) {
			target, options := steered(t, spec)
			underLoad(t, target, func() { sendAll(t, target, 20, 1, 0) }, func() {
				for range *rounds {
					agent := testenv.StartAgent(t, options)
					agent.WaitTraced(t, target.PID)
					time.Sleep(testenv.Patient(50 * time.Millisecond))
					agent.Kill(t)
				}
			})
		})
	}
}

// comeAndGo lets agents come and go while the target is under load. Each second one gets two signals: it hurries, but waits for headers.
func comeAndGo(t *testing.T, target *testenv.Target, options testenv.AgentOptions, load func()) {
	t.Helper()
	underLoad(t, target, load, func() {
		for i := range *rounds {
			agent := testenv.StartAgent(t, options)
			agent.WaitTraced(t, target.PID)
			time.Sleep(testenv.Patient(200 * time.Millisecond))
			if i%2 == 1 {
				syscall.Kill(agent.PID, syscall.SIGTERM) // the second one is soon to come
			}
			agent.Stop(t)
		}
	})
}

// underLoad repeats load until during has returned. It pauses between two runs of load, or no agent would ever be ready on one CPU.
func underLoad(t *testing.T, target *testenv.Target, load, during func()) {
	t.Helper()
	end := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			load()
			select {
			case <-end:
				return
			case <-time.After(testenv.Patient(20 * time.Millisecond)):
			}
		}
	})
	stop := sync.OnceFunc(func() { close(end); group.Wait() })
	defer stop() // also if it fails
	during()
	stop()
	if target.Exited() {
		t.Errorf("target is gone:\n%s", target.Output())
	}
}

// TestSteerTwoAgents: of two agents at the same program, one steers a request; the other leaves it alone.
func TestSteerTwoAgents(t *testing.T) {
	for _, spec := range injectBuilds("testdata/xnet") {
		t.Run(spec.String(), func(t *testing.T) {
			target, options := steered(t, spec)
			for range 2 {
				testenv.StartAgent(t, options).WaitTraced(t, target.PID)
			}
			sendAll(t, target, *requests, 1, 0)
		})
	}
}
