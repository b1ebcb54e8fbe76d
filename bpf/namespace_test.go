package bpf

import "testing"

func TestInNamespace(t *testing.T) {
	if inNamespace("/proc", "pid", 1) {
		t.Error("no namespace has inode 1")
	}
	if !inNamespace(t.TempDir(), "pid", initialPIDNamespace) {
		t.Error("what cannot be found out must count as the machine's own")
	}
}
