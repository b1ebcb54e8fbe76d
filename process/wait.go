package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Wait returns nil as soon as p has exited, at once if it had exited before, and
// ctx.Err() if ctx is done first. It holds a file descriptor but no thread while it
// waits. Any other error means that this kernel (before 5.10) or this sandbox has no
// pidfd_open or that the FS shows another PID namespace than the caller's; Scanner
// still notices the exit then.
func (fs FS) Wait(ctx context.Context, p Process) error {
	fd, err := unix.PidfdOpen(p.PID, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("wait for process %d: pidfd_open: %w", p.PID, err)
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	defer file.Close()
	// The descriptor is of whoever has the PID now: it is of p if p is there still.
	if !fs.Same(p) {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	conn, err := file.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for process %d: %w", p.PID, err)
	}
	if err := conn.Read(exited); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("wait for process %d: %w", p.PID, err)
	}
	return nil
}

// exited reports whether a pidfd is readable, which it is from the process's exit on
// (pidfd_open(2)), without waiting for it.
func exited(pidfd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}
