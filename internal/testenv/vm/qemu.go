package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/remora-agent/remora/internal/testenv/vm/guest"
)

const (
	memory = "1536M"
	// One, on one host thread: with a thread for each of two, QEMU 7.2 emulates them wrongly now and then, and the kernel hangs;
	// with one thread for both, everything takes a quarter longer than with one CPU.
	cpus      = "1"
	emulation = "tcg,thread=single"
	// Without CMPXCHG16B: as QEMU 7.2 emulates it, the kernel's allocator crashes in one boot of eight. Without five-level
	// paging, boots take two thirds of the time.
	processor = "max,-cx16,-la57"
)

// emulator is QEMU's program for an architecture with the machine that it emulates.
func emulator(arch string) ([]string, error) {
	switch arch {
	case "amd64":
		return []string{"qemu-system-x86_64", "-cpu", processor}, nil
	case "arm64":
		return []string{"qemu-system-aarch64", "-machine", "virt", "-cpu", "neoverse-n1"}, nil // as many machines have it; "max" is far slower
	}
	return nil, fmt.Errorf("no virtual machine is known for %s", arch)
}

// Available says what this machine lacks to run kernels of an architecture.
func Available(arch string) error {
	if os.Geteuid() != 0 {
		return errors.New("sharing all files with a virtual machine needs root")
	}
	machine, err := emulator(arch)
	if err != nil {
		return err
	}
	if _, err := exec.LookPath(machine[0]); err != nil {
		return fmt.Errorf("there is no %s: install Debian's qemu-system-x86 or qemu-system-arm", machine[0])
	}
	_, err = virtiofsd()
	return err
}

// qemu returns the command line behind nice.
func (k Kernel) qemu(dir, cmdline string) ([]string, error) {
	machine, err := emulator(k.Arch)
	if err != nil {
		return nil, err
	}
	console := map[string]string{"amd64": "ttyS0", "arm64": "ttyAMA0"}[k.Arch]
	args := append([]string{"-n", "10"}, machine...)
	return append(args,
		"-accel", emulation, "-m", memory, "-smp", cpus, "-nodefaults", "-no-reboot", "-display", "none",
		"-kernel", filepath.Join(k.dir, "vmlinuz"), "-initrd", filepath.Join(dir, "initrd"),
		"-append", strings.TrimSpace(fmt.Sprintf("console=%s quiet panic=-1 rdinit=/init %s=%s %s", console, guest.JobParameter, dir, cmdline)),
		"-serial", "file:"+filepath.Join(dir, "console"),
		"-object", "memory-backend-memfd,id=memory,size="+memory+",share=on", "-numa", "node,memdev=memory",
		"-chardev", "socket,id=files,path="+filepath.Join(dir, "files"), "-device", "vhost-user-fs-pci,chardev=files,tag="+guest.FilesTag,
	), nil
}

// sharer is a running virtiofsd.
type sharer struct{ cmd *exec.Cmd }

// shareFiles starts the daemon that serves this machine's files, on the socket "files" in dir.
func shareFiles(ctx context.Context, dir string) (*sharer, error) {
	path, err := virtiofsd()
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "files")
	s := &sharer{exec.CommandContext(ctx, path, "--socket-path="+socket, "-o", "source=/", "-o", "cache=always", "-o", "sandbox=chroot", "--thread-pool-size=1")}
	log, err := os.Create(filepath.Join(dir, "virtiofsd.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start virtiofsd: %w", err)
	}
	for range 100 {
		if _, err := os.Stat(socket); err == nil {
			return s, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.stop()
	text, _ := os.ReadFile(log.Name())
	return nil, fmt.Errorf("virtiofsd does not serve: %s", lastLine(string(text)))
}

// stop ends the daemon; without a virtual machine it ends by itself, so an error tells nothing.
func (s *sharer) stop() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// virtiofsd is in Debian's qemu-system-common up to bookworm, in a package of its own later.
func virtiofsd() (string, error) {
	for _, path := range []string{"/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no virtiofsd: install Debian's qemu-system-common or virtiofsd")
}
