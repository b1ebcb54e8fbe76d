package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/remora-agent/remora/internal/testenv"
)

const countVariable = "REMORA_TEST_SIGNALS"

// countSignals is the program that gets the signals: it prints their names until SIGTERM.
func countSignals() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGTERM)
	fmt.Println("ready")
	for s := range signals {
		fmt.Println(s)
		if s == syscall.SIGTERM {
			os.Exit(0)
		}
	}
}

// TestRunSignals: whoever sends it and wherever stdin leads, a signal reaches the command of `run` once.
func TestRunSignals(t *testing.T) {
	if os.Getenv(countVariable) != "" {
		countSignals()
	}
	testenv.RequireRoot(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, c := range []struct {
		name            string
		terminal, stdin bool // a controlling terminal; stdin is that
	}{{"no terminal", false, false}, {"terminal", true, true}, {"terminal, stdin elsewhere", true, false}} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(testenv.Remora(t), "run", "--", os.Args[0], "-test.run=^TestRunSignals$")
			cmd.Env = append(os.Environ(), countVariable+"=yes", "OTEL_TRACES_EXPORTER=none")
			cmd.Stdin = null
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			var keyboard, screen *os.File
			if c.terminal {
				keyboard, screen = openTerminal(t)
				cmd.ExtraFiles = []*os.File{screen}
				cmd.SysProcAttr.Setctty, cmd.SysProcAttr.Ctty = true, 3
			}
			if c.stdin {
				cmd.Stdin = screen
			}
			printed, err := os.Create(filepath.Join(t.TempDir(), "printed"))
			if err != nil {
				t.Fatal(err)
			}
			defer printed.Close()
			cmd.Stdout = printed
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { cmd.Process.Kill() })
			said := func(want ...string) {
				t.Helper()
				lines := func() []string {
					text, _ := os.ReadFile(printed.Name())
					return strings.Fields(string(text))
				}
				testenv.Eventually(t, 10*time.Second, fmt.Sprint(want), func() bool { return len(lines()) >= len(want) })
				time.Sleep(testenv.Patient(300 * time.Millisecond)) // for what must not come
				if got := lines(); !slices.Equal(got, want) {
					t.Errorf("the command got %v, want %v", got, want)
				}
			}
			said("ready")
			want := []string{"ready"}
			for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP} {
				cmd.Process.Signal(s)
				want = append(want, s.String())
				said(want...)
			}
			syscall.Kill(-cmd.Process.Pid, syscall.SIGUSR1) // to the group, as timeout(1) does
			want = append(want, "user", "defined", "signal", "1")
			said(want...)
			if c.terminal {
				keyboard.WriteString("\x03")
				want = append(want, syscall.SIGINT.String())
				said(want...)
				keyboard.Close()
				want = append(want, syscall.SIGHUP.String())
				said(want...)
			}
			cmd.Process.Signal(syscall.SIGTERM)
			said(append(want, syscall.SIGTERM.String())...)
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// openTerminal makes a pseudoterminal: what is written to keyboard is typed, and a program has screen.
func openTerminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keyboard.Close() })
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	return keyboard, screen
}
