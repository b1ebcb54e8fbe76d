package real

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/remora-agent/remora/probes/grpc"
	"github.com/remora-agent/remora/probes/nethttp"
)

// program is an executable made by others, and the probes that must be ready in it. Of the other probes nothing is expected but
// a right answer.
type program struct {
	name    string
	pkg     string // Debian package, "" for what this machine has or not
	path    string // in the package or on the machine
	require []string
}

// large is the program whose analysis is measured: 107 MB, stripped.
var large = program{name: "packer", pkg: "packer", path: "usr/bin/packer"}

func programs() []program {
	server, client := nethttp.Server().Name, nethttp.Client().Name
	grpcServer, grpcClient := grpc.Server().Name, grpc.Client().Name
	return []program{
		{"prometheus", "prometheus", "usr/bin/prometheus", []string{server, client}},
		{"promtool", "prometheus", "usr/bin/promtool", []string{client}},
		{"etcd", "etcd-server", "usr/bin/etcd", []string{server, client, grpcServer, grpcClient}},
		{"caddy", "caddy", "usr/bin/caddy", []string{server, client}},
		{"containerd", "containerd", "usr/bin/containerd", []string{server, client, grpcServer, grpcClient}},
		{"ctr", "containerd", "usr/bin/ctr", []string{client, grpcClient}},
		{"containerd-shim", "containerd", "usr/bin/containerd-shim-runc-v2", nil},
		{"dockerd", "docker.io", "usr/sbin/dockerd", []string{server, client}},
		{"docker of Debian", "docker.io", "usr/bin/docker", []string{server, client}},
		{"packer", "packer", large.path, []string{client}},
		{"kubectl", "", "kubectl", []string{server, client}},
		{"docker", "", "docker", []string{client}},
	}
}

// executable returns where the program is, and skips the test where it cannot be had.
func (p program) executable(t testing.TB) string {
	t.Helper()
	if p.pkg != "" {
		return filepath.Join(unpacked(t, p.pkg), p.path)
	}
	path, err := exec.LookPath(p.path)
	if err != nil {
		t.Skipf("this machine has no %s: %v", p.path, err)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// unpacked returns the directory with a package's files. It is fetched once, and installed never.
func unpacked(t testing.TB, pkg string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "remora", "real", pkg)
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	download := t.TempDir()
	fetch := exec.Command("apt-get", "download", "-q", pkg)
	fetch.Dir = download
	if out, err := fetch.CombinedOutput(); err != nil {
		t.Skipf("cannot download %s (consider apt-get update): %v\n%s", pkg, err, out)
	}
	files, err := filepath.Glob(filepath.Join(download, "*.deb"))
	if err != nil || len(files) != 1 {
		t.Fatalf("apt-get download %s left %v: %v", pkg, files, err)
	}
	unfinished := dir + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("dpkg", "-x", files[0], unfinished).CombinedOutput(); err != nil {
		t.Fatalf("cannot unpack %s: %v\n%s", pkg, err, out)
	}
	if err := os.Rename(unfinished, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}
