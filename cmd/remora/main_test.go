package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/remora-agent/remora/internal/testenv"
)

// execute runs the program with these arguments in an environment of NAME=VALUE, within this process.
func execute(t *testing.T, env []string, args ...string) (out string, err error) {
	t.Helper()
	for _, name := range os.Environ() {
		name, _, _ = strings.Cut(name, "=")
		if strings.HasPrefix(name, "OTEL_") || strings.HasPrefix(name, "REMORA_") {
			t.Setenv(name, "")
		}
	}
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
	var b bytes.Buffer
	cmd := root()
	cmd.SetOut(&b)
	cmd.SetErr(io.Discard)
	cmd.SetArgs(args)
	err = cmd.Execute()
	return b.String(), err
}

// TestErrors: what the user got wrong is one line that names it and, where it is not obvious, the remedy.
func TestErrors(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no program"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		env  []string
		args []string
		want []string // in the line
	}{
		{"no target", nil, nil, []string{"no target", "--exe", "--pid", "OTEL_GO_AUTO_TARGET_EXE"}},
		{"no target for agent", nil, []string{"agent"}, []string{"no target", "--exe"}},
		{"PID of letters", nil, []string{"agent", "--pid", "abc"}, []string{`"abc"`, "want a positive whole number"}},
		{"PID 0", nil, []string{"--pid", "0"}, []string{`"0"`, "want a positive whole number"}},
		{"one bad PID of two", nil, []string{"--pid", "1", "--pid", "-3"}, []string{`"-3"`}},
		{"PID by variable", []string{"OTEL_GO_AUTO_TARGET_PID=12x"}, nil, []string{`"12x"`, "want a positive whole number"}},
		{"bad glob", nil, []string{"--exe", "/opt/[a"}, []string{`"/opt/[a"`, "escape"}},
		{"bad glob by variable", []string{"OTEL_GO_AUTO_TARGET_EXE=/bin/a,[b"}, nil, []string{`"[b"`}},
		{"directory", nil, []string{"--exe", "/opt/"}, []string{`"/opt/"`, "directory", "**"}},
		{"unknown flag", nil, []string{"--exec", "x"}, []string{"--exec"}},
		{"unknown command", nil, []string{"trace"}, []string{`"trace"`}},
		{"argument of agent", nil, []string{"agent", "server"}, []string{`"server"`}},
		{"exporter", []string{"OTEL_TRACES_EXPORTER=zipkin"}, []string{"--exe", "x"}, []string{"OTEL_TRACES_EXPORTER", "zipkin", "otlp", "console", "none"}},
		{"sampler", []string{"OTEL_TRACES_SAMPLER=some"}, []string{"--exe", "x"}, []string{"OTEL_TRACES_SAMPLER", "some", "traceidratio"}},
		{"log level", []string{"OTEL_LOG_LEVEL=loud"}, []string{"--exe", "x"}, []string{"OTEL_LOG_LEVEL", "loud", "debug, info, warn or error"}},
		{"log level of panics", []string{"OTEL_LOG_LEVEL=fatal"}, []string{"--exe", "x"}, []string{"OTEL_LOG_LEVEL", "fatal", "debug, info, warn or error"}},
		{"endpoint", []string{"OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4318"}, []string{"--exe", "x"}, []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318"}},
		{"run without a command", nil, []string{"run"}, []string{"arg"}},
		{"run of nothing", nil, []string{"run", "--", "/no/such/program"}, []string{"/no/such/program"}},
		{"inspect nothing", nil, []string{"inspect"}, []string{"arg"}},
		{"inspect a missing file", nil, []string{"inspect", "/no/such/file"}, []string{"/no/such/file"}},
		{"inspect text", nil, []string{"inspect", text}, []string{text, "not an ELF executable"}},
		{"inspect a directory", nil, []string{"inspect", "/"}, []string{"not an ELF executable"}},
		{"inspect no process", nil, []string{"inspect", "4194305"}, []string{"cannot inspect process 4194305: there is no such process"}},
		{"inspect a kernel thread", nil, []string{"inspect", "2"}, []string{"cannot inspect process 2: it "}},
		{"argument of doctor", nil, []string{"doctor", "x"}, []string{`"x"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := execute(t, tt.env, tt.args...)
			if err == nil {
				t.Fatal("no error")
			}
			if strings.ContainsAny(err.Error(), "\n\t") {
				t.Errorf("more than a line: %q", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not name %q", err, want)
				}
			}
		})
	}
}

func TestPIDThatDoesNotRun(t *testing.T) {
	testenv.RequireRoot(t)
	_, err := execute(t, []string{"OTEL_TRACES_EXPORTER=none"}, "agent", "--pid", "4194305", "--listen", "none")
	if err == nil || !strings.Contains(err.Error(), "cannot trace process 4194305: there is no such process") {
		t.Error(err)
	}
}

func TestListenInUse(t *testing.T) {
	testenv.RequireRoot(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = execute(t, []string{"OTEL_TRACES_EXPORTER=none"}, "agent", "--exe", "x", "--listen", l.Addr().String())
	if err == nil || !strings.Contains(err.Error(), "REMORA_LISTEN") || strings.Contains(err.Error(), "\n") {
		t.Error(err)
	}
}

func TestDisabled(t *testing.T) {
	if _, err := execute(t, []string{"OTEL_SDK_DISABLED=true"}, "--exe", "x"); err != nil {
		t.Error(err)
	}
}

// TestOrList: the flag, else what the variable lists, with spaces around the commas.
func TestOrList(t *testing.T) {
	t.Setenv("OTEL_GO_AUTO_TARGET_EXE", "/bin/a, /bin/b ")
	for _, tt := range []struct{ flag, want []string }{{nil, []string{"/bin/a", "/bin/b"}}, {[]string{" x"}, []string{" x"}}} {
		if got := orList(tt.flag, "OTEL_GO_AUTO_TARGET_EXE"); !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.flag, got, tt.want)
		}
	}
}

// TestListenFlag: the flag, else the variable, else what is usual.
func TestListenFlag(t *testing.T) {
	for _, tt := range []struct{ variable, want string }{{"", "127.0.0.1:9465"}, {"none", "none"}, {":1234", ":1234"}} {
		t.Setenv("REMORA_LISTEN", tt.variable)
		if got := root().Flags().Lookup("listen").DefValue; got != tt.want {
			t.Errorf("REMORA_LISTEN=%s: %q, want %q", tt.variable, got, tt.want)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"agent", "--help"}, {"run", "--help"}, {"inspect", "--help"}, {"doctor", "--help"}} {
		out, err := execute(t, nil, args...)
		if err != nil || !strings.Contains(out, "Usage:") || strings.Contains(out, startCommand) {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}

func TestVersion(t *testing.T) {
	out, err := execute(t, nil, "version")
	if err != nil || out != "remora "+version+"\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestCode: the child's exit code is ours; one that a signal ended has 128 and the signal, as in a shell.
func TestCode(t *testing.T) {
	for _, tt := range []struct {
		command string
		want    int
	}{{"exit 0", 0}, {"exit 1", 1}, {"exit 255", 255}, {"kill -TERM $$", 143}, {"kill -KILL $$", 137}} {
		child := exec.Command("sh", "-c", tt.command)
		_ = child.Run()
		got := 0
		if err := code(child.ProcessState); err != nil {
			var exit exitCode
			if !errors.As(err, &exit) {
				t.Fatal(err)
			}
			got = int(exit)
		}
		if got != tt.want {
			t.Errorf("%s: %d, want %d", tt.command, got, tt.want)
		}
	}
}
