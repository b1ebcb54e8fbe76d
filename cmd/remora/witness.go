package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// forwarded are the signals that `run` passes on to its command.
var forwarded = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2}

// witnessCommand makes this program the witness; see witness.
const witnessCommand = "__witness"

// patience is how long after us, or before us, the witness may get a signal of the whole process group.
const patience = 200 * time.Millisecond

// witness is a process in our process group that tells which signals it gets. These go to the whole group, as a terminal's do and those
// of timeout(1), so the command has had them without us; any other was meant for us and is to be passed on. The signal itself would tell
// a terminal's by its si_code, but Go shows that to nobody and unblocks what signalfd needs blocked.
// https://github.com/golang/go/blob/go1.26.8/src/runtime/signal_unix.go (blockableSig)
type witness struct {
	cmd   *exec.Cmd
	alive io.Closer // it ends when this is closed, or we have ended

	mu   sync.Mutex
	seen map[os.Signal]time.Time
}

// startWitness returns when the witness is there.
func startWitness() (*witness, error) {
	cmd := exec.Command("/proc/self/exe", witnessCommand)
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	told, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start a process that watches signals: %w", err)
	}
	w := &witness{cmd: cmd, alive: alive, seen: map[os.Signal]time.Time{}}
	if _, err := told.Read(make([]byte, 1)); err != nil {
		return nil, errors.Join(fmt.Errorf("the process that watches signals has ended: %w", err), w.close())
	}
	go w.listen(told)
	return w, nil
}

func (w *witness) listen(told io.Reader) {
	for buf := make([]byte, 1); ; {
		if _, err := told.Read(buf); err != nil {
			return
		}
		w.mu.Lock()
		w.seen[syscall.Signal(buf[0])] = time.Now()
		w.mu.Unlock()
	}
}

// got says whether a signal that we have just got went to the whole group.
func (w *witness) got(s os.Signal) bool {
	for now := time.Now(); ; time.Sleep(patience / 50) {
		w.mu.Lock()
		seen := w.seen[s]
		w.mu.Unlock()
		if now.Sub(seen) < patience {
			return true
		}
		if time.Since(now) > patience {
			return false
		}
	}
}

func (w *witness) close() error { return errors.Join(w.alive.Close(), w.cmd.Wait()) }

// testify is the witness: it writes a byte when it is ready, and each signal's number, until stdin ends.
func testify() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded...)
	told := []byte{0}
	go func() {
		for {
			_, _ = os.Stdout.Write(told) // fails only if there is nobody to tell
			told[0] = byte((<-signals).(syscall.Signal))
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
}
