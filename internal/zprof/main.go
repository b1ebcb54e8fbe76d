package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/remora-agent/remora/internal/rig"
)

func main() {
	kind := os.Args[1]
	var target *rig.Target
	var run func(d time.Duration) (int, time.Duration, error)
	start := func(args ...string) *rig.Target {
		t, err := rig.StartTarget(append([]string{"taskset", "-c", "1", "bin/bench-target"}, args...), "GOMAXPROCS=1")
		if err != nil {
			panic(err)
		}
		return t
	}
	switch kind {
	case "grpcs":
		target = start("-grpc")
		run = func(d time.Duration) (int, time.Duration, error) { return rig.LoadGRPC(target.Addr, "/bench.Service/Do", 32, d) }
	case "http":
		target = start()
		run = func(d time.Duration) (int, time.Duration, error) { return rig.Load(target.Addr, "/", 32, d) }
	case "grpcc":
		s, err := rig.NewGRPCResponder()
		if err != nil {
			panic(err)
		}
		target = start("-grpc", "-call", s.Addr, "-conns", "32")
		run = s.Serve
	case "httpc":
		s, err := rig.NewResponder()
		if err != nil {
			panic(err)
		}
		target = start("-call", "http://"+s.Addr, "-conns", "32")
		run = s.Serve
	}
	defer target.Stop()
	env := []string{"OTEL_TRACES_EXPORTER=none"}
	agent, err := rig.StartAgent("bin/remora", target.PID, io.Discard, io.Discard, env...)
	if err != nil {
		panic(err)
	}
	defer agent.Stop()
	run(2 * time.Second)
	exec.Command("sysctl", "-q", "kernel.bpf_stats_enabled=1").Run()
	defer exec.Command("sysctl", "-q", "kernel.bpf_stats_enabled=0").Run()
	for range 5 {
		time.Sleep(300 * time.Millisecond)
		agent.Pause()
		n, took, _ := run(100 * time.Millisecond)
		agent.Resume()
		fmt.Println(n, took)
	}
	out, _ := exec.Command("sh", "-c", `bpftool prog show -j | python3 -c "
import json,sys
for p in json.load(sys.stdin):
  if p.get('run_cnt',0)>100: print(p['name'],p['run_cnt'],p['run_time_ns']//p['run_cnt'])"`).CombinedOutput()
	fmt.Print(string(out))
	if len(os.Args) > 2 {
		d, _ := time.ParseDuration(os.Args[2])
		fmt.Println(target.PID)
		run(d)
	}
}
