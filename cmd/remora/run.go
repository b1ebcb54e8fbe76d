package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/remora-agent/remora/internal/agent"
	"github.com/remora-agent/remora/process"
)

func runCommand() *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARGUMENTS]",
		Short: "Start a program, trace it and all that it starts, and print the traces",
		Long: `Start a program and trace it from its first instruction on, and the Go programs that it starts.
Traces are printed, unless OTEL_TRACES_EXPORTER says otherwise. Signals go to the program; its exit code is ours.`,
		Example: "  remora run -- ./server -port 8080",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := exec.LookPath(args[0])
			if err != nil {
				return err
			}
			cfg, err := config("console", listen)
			if err != nil {
				return err
			}
			if cfg.Export.Disabled {
				return syscall.Exec(path, args, os.Environ())
			}
			return run(cfg, path, args)
		},
	}
	listenFlag(cmd, &listen, "none")
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// run starts the command as a child that waits until its probes are attached, and only then executes it: uprobes of a
// process stay with it when it executes a program.
func run(cfg agent.Config, path string, args []string) error {
	w, err := startWitness()
	if err != nil {
		return err
	}
	defer w.close()
	child, err := startWaiting(path, args)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded...)
	cfg.Selector = process.Selector{Descendants: []int{child.Process.Pid}}
	a, err := agent.New(cfg)
	if err != nil {
		return errors.Join(err, child.abandon())
	}
	a.TraceBeforeExec(child.Process.Pid, path, args[0])
	if err := child.release(); err != nil {
		return errors.Join(fmt.Errorf("cannot start %s: %w", path, err), child.Wait(), a.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	traced := make(chan error, 1)
	go func() { traced <- a.Run(ctx) }()
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	for {
		select {
		case s := <-signals:
			if !w.got(s) {
				child.Process.Signal(s)
			}
		case <-ended:
			cancel()
			await(a, traced, signals)
			return code(child.ProcessState)
		}
	}
}

// await returns when a has ended, and says what went wrong. From now on signals are for us.
func await(a *agent.Agent, traced <-chan error, signals <-chan os.Signal) {
	for len(signals) > 0 {
		<-signals // the child's end may have been faster
	}
	for {
		select {
		case s := <-signals:
			if s != syscall.SIGUSR1 && s != syscall.SIGUSR2 {
				a.Hurry()
			}
		case err := <-traced:
			if err != nil {
				fmt.Fprintln(os.Stderr, "remora:", err)
			}
			return
		}
	}
}

// code is the child's exit code, as a shell tells it.
func code(s *os.ProcessState) error {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return exitCode(128 + int(w.Signal()))
	}
	if s.ExitCode() == 0 {
		return nil
	}
	return exitCode(s.ExitCode())
}

// startCommand makes this program the waiting child; see start.
const startCommand = "__start"

// Descriptors of the waiting child: it starts when goAhead is closed by a byte, and tells of a failed exec on failed.
const (
	goAheadFD = 3
	failedFD  = 4
)

func init() {
	if len(os.Args) > 1 && os.Args[1] == startCommand {
		runtime.LockOSThread() // exec from the main thread: another one would become a new task, without the probes
	}
}

// start is the waiting child: it becomes args[1:] of the program args[0]. Returns if that fails.
func start(args []string) int {
	goAhead, failed := os.NewFile(goAheadFD, "goAhead"), os.NewFile(failedFD, "failed")
	if n, _ := goAhead.Read(make([]byte, 1)); n == 0 {
		return 1 // the parent died or changed its mind
	}
	syscall.CloseOnExec(goAheadFD)
	syscall.CloseOnExec(failedFD)
	err := syscall.Exec(args[0], args[1:], os.Environ())
	fmt.Fprint(failed, err)
	return 127
}

// waiting is the child before it executes its program.
type waiting struct {
	*exec.Cmd
	goAhead, failed *os.File
}

func startWaiting(path string, args []string) (*waiting, error) {
	goAhead, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer goAhead.Close()
	theirs, failed, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	defer failed.Close()
	cmd := exec.Command("/proc/self/exe", append([]string{startCommand, path}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{goAhead, failed}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start a child: %w", err), ours.Close(), theirs.Close())
	}
	return &waiting{Cmd: cmd, goAhead: ours, failed: theirs}, nil
}

// release lets the child execute its program, and returns when it has.
func (w *waiting) release() error {
	defer w.failed.Close()
	_, err := w.goAhead.Write([]byte{1})
	err = errors.Join(err, w.goAhead.Close())
	if err != nil {
		return err
	}
	message, err := io.ReadAll(w.failed) // ends when exec closes the other end
	if len(message) > 0 {
		return errors.New(string(message))
	}
	return err
}

// abandon ends a child that was not released.
func (w *waiting) abandon() error {
	err := errors.Join(w.goAhead.Close(), w.failed.Close())
	w.Wait()
	return err
}
