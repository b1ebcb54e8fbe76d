// Init is the first process of a virtual machine for tests: it mounts the host's files as its root, runs one program there and
// powers off. What goes wrong is said on the console.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/remora-agent/remora/internal/testenv/vm/guest"
)

// temporary is the guest's own directory for files: below /dev, which is not shared.
const temporary = "/dev/shm"

func main() {
	if err := run(); err != nil {
		fmt.Println("init:", err)
	}
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func run() error {
	if err := errors.Join(mount("devtmpfs", "/dev"), mount("proc", "/proc"), mount("sysfs", "/sys")); err != nil {
		return err
	}
	if err := errors.Join(loadModules(), enterRoot(), loopback()); err != nil {
		return err
	}
	dir, err := parameter(guest.JobParameter)
	if err != nil {
		return err
	}
	status, err := runJob(dir)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, guest.StatusFile), []byte(strconv.Itoa(status)), 0o644)
}

func mount(kind, path string) error {
	source := kind
	if kind == "virtiofs" {
		source = guest.FilesTag
	}
	if err := unix.Mount(source, path, kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("mount %s: %w", path, err)
	}
	return nil
}

func loadModules() error {
	files, err := filepath.Glob(guest.Modules + "/*")
	if err != nil {
		return err
	}
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load %s: %w", path, err)
		}
	}
	return nil
}

// enterRoot makes the host's files the root, with the guest's own kernel file systems in it.
func enterRoot() error {
	if err := mount("virtiofs", guest.Root); err != nil {
		return err
	}
	if err := errors.Join(unix.Chroot(guest.Root), os.Chdir("/")); err != nil {
		return fmt.Errorf("enter the host's files: %w", err)
	}
	if err := errors.Join(mount("devtmpfs", "/dev"), mount("proc", "/proc"), mount("sysfs", "/sys")); err != nil {
		return err
	}
	if err := os.MkdirAll(temporary, 0o1777); err != nil {
		return err
	}
	return errors.Join(mount("tmpfs", temporary), mount("tracefs", "/sys/kernel/tracing"), mount("securityfs", "/sys/kernel/security"),
		mount("bpf", "/sys/fs/bpf"))
}

// loopback turns the network interface lo on.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("turn lo on: %w", err)
	}
	return nil
}

// parameter returns the value of a parameter of the kernel's command line.
func parameter(name string) (string, error) {
	text, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return "", err
	}
	for _, p := range strings.Fields(string(text)) {
		if value, ok := strings.CutPrefix(p, name+"="); ok {
			return value, nil
		}
	}
	return "", fmt.Errorf("the kernel's command line has no %s", name)
}

// runJob runs the program that dir describes and returns its exit status.
func runJob(dir string) (int, error) {
	text, err := os.ReadFile(filepath.Join(dir, guest.JobFile))
	if err != nil {
		return 0, err
	}
	var job guest.Job
	if err := json.Unmarshal(text, &job); err != nil {
		return 0, err
	}
	out, err := os.OpenFile(filepath.Join(dir, guest.OutputFile), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return 0, err
	}
	defer out.Close()
	cmd := exec.Command(job.Args[0], job.Args[1:]...)
	cmd.Dir, cmd.Env = job.Dir, append(job.Env, "TMPDIR="+temporary)
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	if wait := cmd.ProcessState.Sys().(syscall.WaitStatus); wait.Signaled() {
		return 128 + int(wait.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}
