package testenv

import (
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/remora-agent/remora/bpf"
)

// RequireRoot skips a test that needs what only root may do: load BPF programs and attach them.
func RequireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: loads BPF programs")
	}
}

// RequireUserWrites skips a test that needs BPF programs that write to the target's memory: without root, and where this
// kernel refuses it (lockdown). The virtual machines of test/kernel run these tests.
func RequireUserWrites(t testing.TB) {
	t.Helper()
	RequireRoot(t)
	if err := userWrites(); err != nil {
		t.Skipf("needs writes to the target's memory (make test-kernel runs it in a virtual machine): %v", err)
	}
}

// RequireInjection skips a test that needs trace context in the target's requests, by whatever mechanism this kernel has.
func RequireInjection(t testing.TB) {
	t.Helper()
	RequireRoot(t)
	if err := injection(); err != nil {
		t.Skipf("needs a kernel that lets programs write registers or memory (make test-kernel runs it in a virtual machine): %v", err)
	}
}

var injection = sync.OnceValue(func() error {
	_, cannot, err := bpf.Probe().Mechanisms("auto")
	return errors.Join(cannot, err)
})

// RequireRegisterWrites skips a test of steering: without root, and where this kernel's uprobes may not write registers.
func RequireRegisterWrites(t testing.TB) {
	t.Helper()
	RequireRoot(t)
	if err := registerWrites(); err != nil {
		t.Skipf("needs uprobes that write registers (make test-kernel runs it in a virtual machine): %v", err)
	}
}

// Steers says whether an agent steers on this kernel unless it is told otherwise.
func Steers() bool { return registerWrites() == nil }

var registerWrites = sync.OnceValue(func() error { return bpf.Probe().RegisterWrites() })

// userWrites asks the kernel once per test process.
var userWrites = sync.OnceValue(func() error { return bpf.Probe().UserWrites() })
