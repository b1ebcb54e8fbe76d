package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/remora-agent/remora/internal/testenv/vm/guest"
)

// Command is a program to run as root in a virtual machine, with paths of this machine.
type Command struct {
	Args    []string // the program and its arguments
	Dir     string
	Env     []string  // all of it but TMPDIR
	Output  io.Writer // gets stdout and stderr as they come
	Cmdline string    // added to the kernel's command line: "lockdown=integrity"
}

// Run boots the kernel, runs one program in it and returns the program's exit status, 128 and the number of the signal that
// ended it. The error says why there is none.
func (k Kernel) Run(ctx context.Context, c Command) (status int, err error) {
	dir, err := os.MkdirTemp("", "remora-vm-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := k.prepare(ctx, dir, c); err != nil {
		return 0, err
	}
	files, err := shareFiles(ctx, dir)
	if err != nil {
		return 0, err
	}
	defer files.stop()
	if err := k.boot(ctx, dir, c); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(filepath.Join(dir, guest.StatusFile))
	if err != nil {
		return 0, fmt.Errorf("the virtual machine ended before the program did; its console:\n%s", consoleEnd(dir))
	}
	return strconv.Atoi(string(text))
}

// prepare writes what the guest begins with: its first file system, and the program's description.
func (k Kernel) prepare(ctx context.Context, dir string, c Command) error {
	initrd, err := k.initrd(ctx, dir)
	if err != nil {
		return err
	}
	job, err := json.Marshal(guest.Job{Args: c.Args, Dir: c.Dir, Env: c.Env})
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "initrd"), initrd, 0o644),
		os.WriteFile(filepath.Join(dir, guest.JobFile), job, 0o644),
		os.WriteFile(filepath.Join(dir, guest.OutputFile), nil, 0o644),
	)
}

// initrd builds the guest's init and packs it with the modules.
func (k Kernel) initrd(ctx context.Context, dir string) ([]byte, error) {
	bin := filepath.Join(dir, "init")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", bin, "github.com/remora-agent/remora/internal/testenv/vm/init")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+k.Arch)
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the guest's init: %w\n%s", err, out)
	}
	var a archive
	for _, d := range []string{"dev", "proc", "sys", guest.Root, guest.Modules} {
		a.addDir(strings.TrimPrefix(d, "/"))
	}
	if err := addFile(&a, "init", bin); err != nil {
		return nil, err
	}
	list, err := filepath.Glob(filepath.Join(k.dir, "*.ko"))
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		if err := addFile(&a, filepath.Join(guest.Modules, filepath.Base(m))[1:], m); err != nil {
			return nil, err
		}
	}
	return a.bytes(), nil
}

func addFile(a *archive, name, path string) error {
	data, err := os.ReadFile(path)
	if err == nil {
		a.addFile(name, 0o755, data)
	}
	return err
}

// boot runs the virtual machine to its end, and passes the program's output on meanwhile.
func (k Kernel) boot(ctx context.Context, dir string, c Command) error {
	args, err := k.qemu(dir, c.Cmdline)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "nice", args...)
	out, err := os.Open(filepath.Join(dir, guest.OutputFile))
	if err != nil {
		return err
	}
	defer out.Close()
	done := make(chan error, 1)
	go func() {
		text, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%s: %w: %s\nits console:\n%s", args[2], errors.Join(err, ctx.Err()), text, consoleEnd(dir))
		}
		done <- err
	}()
	for {
		select {
		case err := <-done:
			_, copyErr := io.Copy(c.Output, out)
			return errors.Join(err, copyErr)
		case <-time.After(100 * time.Millisecond):
			if _, err := io.Copy(c.Output, out); err != nil {
				return err
			}
		}
	}
}

func consoleEnd(dir string) string {
	text, _ := os.ReadFile(filepath.Join(dir, "console"))
	return string(text[max(0, len(text)-4000):])
}
