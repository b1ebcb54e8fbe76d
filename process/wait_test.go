package process

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestWait(t *testing.T) {
	fs := NewFS("/proc")
	cmd := startChild(t, nil, "sleep", "60")
	p, err := fs.Process(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := fs.Wait(ctx, p); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it runs: got %v, want the context's error", err)
	}
	later := p
	later.StartTime++
	if err := fs.Wait(t.Context(), later); err != nil {
		t.Errorf("PID of another process: %v", err)
	}

	time.AfterFunc(20*time.Millisecond, func() { cmd.Process.Kill() })
	if err := fs.Wait(t.Context(), p); err != nil {
		t.Error(err)
	}
	if fs.Same(p) {
		t.Error("Wait returned before the exit")
	}
	cmd.Wait()
	if err := fs.Wait(t.Context(), p); err != nil {
		t.Errorf("after the exit: %v", err)
	}
}
