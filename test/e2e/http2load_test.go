package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/remora-agent/remora/internal/testenv"
)

// TestEveryStreamIsASpan: 1,000 requests, 250 at once on each of 4 connections; then nothing of them is left.
func TestEveryStreamIsASpan(t *testing.T) {
	testenv.RequireRoot(t)
	for _, spec := range strippedXNet() {
		if minorOf(spec.Go) < 26 {
			continue
		}
		for _, l := range http2Listeners {
			t.Run(spec.String()+"/"+l.name, func(t *testing.T) { testStreams(t, spec, l) })
		}
	}
}

func testStreams(t *testing.T, spec testenv.BuildSpec, l http2Listener) {
	const conns, streams = 4, 250 // as many as a server allows by default
	target, agent, sink := traced(t, spec)
	var group sync.WaitGroup
	errs := make([]error, conns)
	for c := range conns {
		group.Go(func() { errs[c] = streamLoad(l.scheme+"://"+target.Addr(l.name), streams) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	sink.Wait(t, conns*streams, 20*time.Second)
	time.Sleep(testenv.Patient(300 * time.Millisecond)) // for what must not come
	checkSpans(t, sink.Spans(), conns*streams)
	if n := dropped(t, agent); n != 0 {
		t.Errorf("agent counts %d drops", n)
	}
	if !testenv.Within(5*time.Second, func() bool { return operations(t, agent.PID) == 0 }) {
		t.Errorf("%d operations are left behind", operations(t, agent.PID))
	}
}

// streamLoad sends n requests on one connection. The first goes alone: it learns how many streams the server allows.
func streamLoad(base string, n int) error {
	client, err := newHTTP2Client(base)
	if err != nil {
		return err
	}
	defer client.close()
	if err := client.do(streamRequest{path: "/hello"}); err != nil {
		return err
	}
	errs := make([]error, n-1)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { errs[i] = client.do(streamRequest{path: "/sleep"}) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// operations counts what the agent takes to be under way: the entries of its map of that name.
func operations(t *testing.T, agent int) int {
	t.Helper()
	infos, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", agent))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range infos {
		id, ok := mapID(path)
		if !ok {
			continue
		}
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		info, err := m.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Name == "places" {
			return entries(t, m)
		}
	}
	t.Fatal("agent has no map of places")
	return 0
}

// mapID reads which map a file descriptor is, if one: https://github.com/torvalds/linux/blob/v6.12/kernel/bpf/syscall.c, bpf_map_show_fdinfo.
func mapID(fdinfo string) (ebpf.MapID, bool) {
	data, err := os.ReadFile(fdinfo)
	if err != nil {
		return 0, false // closed meanwhile
	}
	for _, line := range strings.Split(string(data), "\n") {
		if value, ok := strings.CutPrefix(line, "map_id:"); ok {
			id, err := strconv.ParseUint(strings.TrimSpace(value), 10, 32)
			return ebpf.MapID(id), err == nil
		}
	}
	return 0, false
}

func entries(t *testing.T, m *ebpf.Map) int {
	t.Helper()
	key, value := make([]byte, m.KeySize()), make([]byte, m.ValueSize())
	n := 0
	all := m.Iterate()
	for all.Next(&key, &value) {
		n++
	}
	if err := all.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}
