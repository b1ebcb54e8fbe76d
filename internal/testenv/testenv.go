// Package testenv is what the tests from outside need: target programs built with other Go versions, the remora binary,
// an OTLP receiver, and a text form of spans that can be compared whole.
package testenv

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// findRoot returns the directory of the module: the nearest one at or above the working directory with a go.mod and internal.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		_, mod := os.Stat(filepath.Join(dir, "go.mod"))
		_, internal := os.Stat(filepath.Join(dir, "internal"))
		if mod == nil && internal == nil {
			return dir, nil
		}
	}
	return "", errors.New("no go.mod above the working directory")
}

// FreeAddr returns a loopback address whose port was free a moment ago.
func FreeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Eventually polls until ok says yes, and fails the test with what when it did not within timeout (see Patient).
func Eventually(t testing.TB, timeout time.Duration, what string, ok func() bool) {
	t.Helper()
	if !Within(timeout, ok) {
		t.Fatalf("not within %v: %s", Patient(timeout), what)
	}
}

// Within polls until ok says yes, for at most timeout (see Patient), and says whether it did.
func Within(timeout time.Duration, ok func() bool) bool {
	for end := time.Now().Add(Patient(timeout)); ; time.Sleep(Patient(10 * time.Millisecond)) { // polling slows down what it waits for
		if ok() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// cacheDir returns a directory below the user's cache that test processes share.
func cacheDir(parts ...string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(append([]string{cache, "remora"}, parts...)...)
	return dir, os.MkdirAll(dir, 0o755)
}

// withLock runs f while it holds the lock file path: other processes that want the same wait.
func withLock(path string, f func() error) (err error) {
	lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("open lock file: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }() // closing unlocks
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	return f()
}
