package bpf_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/internal/testenv"
)

const endingVariable = "REMORA_TEST_ENDING"

// TestWatchEnd: an agent that is killed has no header begun any more; one whose thread exits goes on.
func TestWatchEnd(t *testing.T) {
	testenv.RequireRoot(t)
	if os.Getenv(endingVariable) != "" {
		watched(t)
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestWatchEnd$")
	child.Env = append(os.Environ(), endingVariable+"=1")
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var id ebpf.MapID
	if _, err := fmt.Fscanln(out, &id); err != nil {
		t.Fatal(err)
	}
	ended, err := ebpf.NewMapFromID(id)
	if err != nil {
		t.Fatal(err)
	}
	defer ended.Close()
	value := func() (v uint32) {
		if err := ended.Lookup(uint32(0), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	if value() != 0 {
		t.Error("ended while it ran")
	}
	child.Process.Kill()
	child.Wait() // says that it was killed
	if value() != 1 {
		t.Error("not ended when it was killed")
	}
}

// watched is an agent until it is killed. One of its threads exits first.
func watched(t *testing.T) {
	r, err := bpf.Open(bpf.Options{RingBytes: 1 << 16, InFlight: 10, Steer: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.WatchEnd(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		runtime.LockOSThread() // and never unlocks it
	}()
	<-exited
	info, err := r.AgentEnded().Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	fmt.Println(id)
	time.Sleep(time.Hour)
}
