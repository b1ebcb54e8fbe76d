package bpf_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/plan"
	"github.com/remora-agent/remora/internal/testenv"
	"github.com/remora-agent/remora/probes/nethttp"
)

// attached is the server probe in a running fixture.
type attached struct {
	*testenv.Target
	path     string // of the program
	id       uint32
	runtime  *bpf.Runtime
	reader   *bpf.Reader
	programs *bpf.Programs
	links    []bpf.Attachment
}

// attach attaches the server probe to a new process of the fixture. The caller closes it.
func attach(t *testing.T, v variant, version string) *attached {
	t.Helper()
	path := testenv.Build(t, testenv.BuildSpec{Dir: fixture, Go: version, Stripped: true})
	p := makePlan(t, path, nethttp.Server())
	a := &attached{Target: testenv.StartTarget(t, path, nil), path: path}
	a.id = uint32(a.PID)
	if v.cookie {
		a.id = 4711
	}
	var err error
	if a.runtime, err = bpf.Open(v.options()); err != nil {
		t.Fatal(err)
	}
	if a.reader, err = a.runtime.NewReader(); err != nil {
		t.Fatal(err)
	}
	a.programs = load(t, a.runtime, 0, p)
	for _, program := range p.Programs {
		link, err := a.programs.Attach(program.Name, path, a.PID, offsets(program), a.id)
		if err != nil {
			t.Fatal(err)
		}
		a.links = append(a.links, link)
	}
	return a
}

func offsets(program plan.Program) []uint64 {
	var all []uint64
	for _, point := range program.Points {
		all = append(all, point.Offset)
	}
	return all
}

func (a *attached) close(t *testing.T) {
	t.Helper()
	for _, l := range a.links {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	a.programs.Close()
	if err := a.reader.Close(); err != nil {
		t.Error(err)
	}
	if err := a.runtime.Close(); err != nil {
		t.Error(err)
	}
}

// drain returns copies of the events that wait.
func (a *attached) drain(t *testing.T) (events [][]byte) {
	t.Helper()
	if err := a.reader.Drain(func(event []byte) { events = append(events, slices.Clone(event)) }); err != nil {
		t.Fatal(err)
	}
	return events
}

// losses returns the counters of what the kernel side lost.
func (a *attached) losses(t *testing.T) bpf.Losses {
	t.Helper()
	l, err := a.runtime.Losses()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// get sends a request on a connection of its own and returns when the connection is closed.
func (a *attached) get(t *testing.T, path string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	response, err := client.Get(a.URL(path))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
}

// TestAttach: what fires is read, whole, of this process only; detached, nothing fires; closed, nothing stays behind.
func TestAttach(t *testing.T) {
	testenv.RequireRoot(t)
	kernel := bpf.Probe()
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			v.available(t, kernel)
			testAttach(t, v)
		})
	}
}

func testAttach(t *testing.T, v variant) {
	attach(t, v, "").close(t) // what the process opens once: its poller, cached kernel features
	before := descriptors(t)
	a := attach(t, v, "")
	bystander := testenv.StartTarget(t, testenv.Build(t, testenv.BuildSpec{Dir: fixture, Stripped: true}), nil)
	const requests = 20
	for range requests {
		a.get(t, "/hello")
		(&attached{Target: bystander}).get(t, "/hello")
	}
	events := a.drain(t)
	if len(events) != requests {
		t.Errorf("%d events for %d requests", len(events), requests)
	}
	ids := map[[16]byte]bool{}
	for _, event := range events {
		head, ok := bpf.Head(event)
		if !ok || head.Target != a.id || head.Start == 0 || head.End < head.Start || head.TraceFlags != 1 {
			t.Errorf("event %+v of target %d", head, a.id)
			continue
		}
		ids[head.TraceId] = true
	}
	if len(ids) != requests {
		t.Errorf("%d trace IDs for %d requests", len(ids), requests)
	}
	if l := a.losses(t); l != (bpf.Losses{}) {
		t.Errorf("lost %+v", l)
	}
	if fill := a.reader.Fill(); fill != 0 {
		t.Errorf("the ring buffer is %g full after it was drained", fill)
	}
	testenv.Eventually(t, 5*time.Second, "connections end", func() bool { return a.runtime.InFlight() == 0 && a.runtime.Contexts() == 0 })
	a.allFree(t, v)
	a.close(t)
	a.get(t, "/hello") // it serves on
	a.Stop()
	bystander.Stop()
	if after := descriptors(t); !slices.Equal(before, after) {
		t.Errorf("descriptors before %v, after %v", before, after)
	}
}

// descriptors lists what this process has open, by kind.
func descriptors(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, e := range entries {
		to, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		if err != nil || strings.HasPrefix(to, "/proc/") || strings.HasPrefix(to, "socket:") { // the listing itself; closing connections
			continue
		}
		kind, _, _ := strings.Cut(to, "[")
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

// TestForget: what is under way in a process that left is removed and counted; what is under way elsewhere stays, and a
// connection that waits for its next request is nothing that was lost.
func TestForget(t *testing.T) {
	testenv.RequireRoot(t)
	v := variants[0]
	v.available(t, bpf.Probe())
	a := attach(t, v, "")
	defer a.close(t)
	idle := a.dial(t)
	a.exchange(t, idle, "/hello", "")
	busy := a.dial(t)
	fmt.Fprint(busy, "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
	testenv.Eventually(t, 5*time.Second, "two connections", func() bool { return a.runtime.InFlight() == 2 && a.runtime.Contexts() == 2 })
	for _, tt := range []struct {
		target uint32
		want   int
	}{{a.id + 1, 0}, {a.id, 1}, {a.id, 0}} {
		n, err := a.runtime.Forget(tt.target)
		if err != nil || n != tt.want {
			t.Errorf("forgot %d of target %d, want %d (%v)", n, tt.target, tt.want, err)
		}
	}
	if n, contexts := a.runtime.InFlight(), a.runtime.Contexts(); n != 0 || contexts != 0 {
		t.Errorf("%d operations and %d contexts stay", n, contexts)
	}
	a.allFree(t, v)
}

// allFree says that no place of an operation was lost.
func (a *attached) allFree(t *testing.T, v variant) {
	t.Helper()
	if n, want := a.runtime.TakeFreePlaces(), v.options().InFlight; n != want {
		t.Errorf("%d places are free, want all %d", n, want)
	}
}

func (a *attached) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", a.Addr("plain"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// exchange sends a request on a connection that stays open, and reads the answer.
func (a *attached) exchange(t *testing.T, conn net.Conn, path, header string) {
	t.Helper()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: h\r\n%s\r\n", path, header)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
}

// TestIdleConnections: connections without a request leave room in the map.
func TestIdleConnections(t *testing.T) {
	testenv.RequireRoot(t)
	v := variants[0]
	v.available(t, bpf.Probe())
	a := attach(t, v, "")
	defer a.close(t)
	const connections = 130 // the map has room for 100
	for range connections {
		a.exchange(t, a.dial(t), "/hello", "")
	}
	if events, l := len(a.drain(t)), a.losses(t); events != connections || l.MapFull != 0 {
		t.Errorf("%d events and %d lost, want %d and none", events, l.MapFull, connections)
	}
}

// TestMapFull: operations beyond the map's size are counted, not silently lost.
func TestMapFull(t *testing.T) {
	testenv.RequireRoot(t)
	v := variants[0]
	v.available(t, bpf.Probe())
	a := attach(t, v, "")
	defer a.close(t)
	const requests, room = 130, 100
	var connections []net.Conn
	for range requests {
		conn := a.dial(t)
		fmt.Fprint(conn, "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n") // answered when the client leaves
		connections = append(connections, conn)
	}
	eventually(t, "30 requests find no room", func() bool { return a.losses(t).MapFull == requests-room })
	for _, conn := range connections {
		conn.Close()
	}
	events := 0
	eventually(t, "100 events", func() bool { events += len(a.drain(t)); return events == room })
}

// eventually waits until ok says so.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not after 10 s", what)
		}
	}
}

// TestRingFull: what does not fit into the ring buffer is counted.
func TestRingFull(t *testing.T) {
	testenv.RequireRoot(t)
	v := variants[0]
	v.available(t, bpf.Probe())
	a := attach(t, v, "")
	defer a.close(t)
	conn := a.dial(t)
	header := "User-Agent: " + strings.Repeat("x", 256) + "\r\n"
	path := "/hello?" + strings.Repeat("y", 1000)
	const requests = 1000 // of about 1.5 KB each, for 1 MB
	for range requests {
		a.exchange(t, conn, path, header)
	}
	if fill := a.reader.Fill(); fill < 0.9 || fill > 1 {
		t.Errorf("the ring buffer is %g full", fill)
	}
	events, l := len(a.drain(t)), a.losses(t)
	if events+int(l.RingFull) != requests || l.RingFull == 0 {
		t.Errorf("%d events and %d lost, want %d", events, l.RingFull, requests)
	}
}

func TestHead(t *testing.T) {
	size := int(unsafe.Sizeof(bpf.SpanHead{}))
	for _, length := range []int{0, 1, size - 1} {
		if head, ok := bpf.Head(make([]byte, length)); ok || head != nil {
			t.Errorf("an event of %d bytes has a head", length)
		}
	}
	if head, ok := bpf.Head(make([]byte, size)); !ok || *head != (bpf.SpanHead{}) {
		t.Error("an event of a head's size has none")
	}
}

// TestErrors: what cannot be loaded or attached says so and leaves nothing behind.
func TestErrors(t *testing.T) {
	testenv.RequireRoot(t)
	v := variants[0]
	v.available(t, bpf.Probe())
	a := attach(t, v, "")
	defer a.close(t)
	before := descriptors(t)
	tests := []struct {
		name string
		do   func() error
		want string
	}{
		{"program", func() error { _, err := a.programs.Attach("none", "/proc/self/exe", 1, nil, 1); return err },
			`there is no BPF program "none"`},
		{"file", func() error { _, err := a.programs.Attach("serve_http", "/none", 1, []uint64{1}, 1); return err }, "cannot open /none"},
		{"counter", func() error { _, err := a.programs.Counter("none"); return err }, `no variable "none"`},
		{"process", func() error {
			_, err := a.programs.Attach("serve_http", "/proc/self/exe", 1<<22+1, []uint64{4096}, 1)
			return err
		}, "cannot attach serve_http to process"},
		{"constant", func() error {
			return loadBroken(a.runtime, map[string]any{"none": int64(1)})
		}, `no constant "none"`},
		{"size of a constant", func() error {
			return loadBroken(a.runtime, map[string]any{"request_method": uint8(1)})
		}, `cannot set the constant "request_method"`},
	}
	for _, tt := range tests {
		if err := tt.do(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if after := descriptors(t); !slices.Equal(before, after) {
		t.Errorf("descriptors before %v, after %v", before, after)
	}
}

func loadBroken(r *bpf.Runtime, constants map[string]any) error {
	spec, err := nethttp.Server().Spec()
	if err != nil {
		return err
	}
	p, err := r.Load(spec, 0, constants, nil)
	if err == nil {
		p.Close()
	}
	return err
}
