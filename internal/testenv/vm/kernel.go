package vm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Kernel is a kernel of Debian's that is at hand.
type Kernel struct {
	Series string // "6.1"
	Arch   string // in Go's terms
	dir    string // has vmlinuz, and the modules as N-name.ko in the order in which they load
}

// suites says which suite of Debian has a series. Exact versions vanish from the mirrors, series stay.
func suites() map[string]string {
	return map[string]string{
		"5.10": "bullseye-security",
		"6.1":  "bookworm",
		"6.12": "trixie",
		"6.18": "trixie-backports",
		"6.19": "trixie-backports",
		"7.0":  "trixie-backports",
		"7.2":  "trixie-backports",
		"7.3":  "trixie-backports",
	}
}

// modules are what the guest needs for its root, in the order in which they load. Which of them are built in differs.
func modules() []string {
	return []string{"virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "fuse", "virtiofs"}
}

// Fetch returns the newest kernel of a series that Debian has, from below os.UserCacheDir()/remora/kernels if it is there.
func Fetch(ctx context.Context, series, arch string) (Kernel, error) {
	k, err := kernel(series, arch)
	if err != nil || k.cached() {
		return k, err
	}
	suite, ok := suites()[series]
	if !ok {
		return Kernel{}, fmt.Errorf("no suite of Debian is known to have Linux %s", series)
	}
	a, err := newApt(filepath.Join(filepath.Dir(k.dir), "apt", suite+"-"+arch), suite, arch)
	if err != nil {
		return Kernel{}, err
	}
	if err := k.fetch(ctx, a); err != nil {
		return Kernel{}, fmt.Errorf("cannot get Linux %s for %s from Debian's %s: %w", series, arch, suite, err)
	}
	return k, nil
}

// kernel says where a kernel is, or will be.
func kernel(series, arch string) (Kernel, error) {
	cache, err := os.UserCacheDir()
	return Kernel{Series: series, Arch: arch, dir: filepath.Join(cache, "remora", "kernels", series+"-"+arch)}, err
}

func (k Kernel) cached() bool {
	_, err := os.Stat(k.dir)
	return err == nil
}

// fetch fills a temporary directory and renames it, so that an interrupted download leaves nothing that looks finished.
func (k Kernel) fetch(ctx context.Context, a apt) (err error) {
	names, err := a.packages(ctx, "linux-")
	if err != nil {
		return err
	}
	chosen := k.choose(names)
	if chosen == nil {
		return errors.New("the suite has no such package")
	}
	tmp, err := os.MkdirTemp(filepath.Dir(k.dir), "tmp-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	tree, kept := filepath.Join(tmp, "tree"), filepath.Join(tmp, "kept")
	if err := errors.Join(os.Mkdir(tree, 0o755), os.Mkdir(kept, 0o755)); err != nil {
		return err
	}
	if err := a.unpack(ctx, tree, chosen...); err != nil {
		return err
	}
	if err := keep(ctx, tree, kept); err != nil {
		return err
	}
	return os.Rename(kept, k.dir)
}

// choose returns the packages of the series' newest kernel. From Linux 6.19 on linux-image-… is a stub and the kernel is in
// linux-binary-…, from 7.2 on the modules are in a package of their own.
func (k Kernel) choose(names []string) []string {
	pattern := regexp.MustCompile(`^linux-(image|binary|modules)-(` + regexp.QuoteMeta(k.Series) + `\.[0-9].*-cloud-` + k.Arch + `)$`)
	byVersion := map[string]map[string]bool{}
	best := ""
	for _, name := range names {
		m := pattern.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		kind, version := m[1], m[2]
		if byVersion[version] == nil {
			byVersion[version] = map[string]bool{}
		}
		byVersion[version][kind] = true
		if kind != "modules" && newer(version, best) {
			best = version
		}
	}
	var chosen []string
	for _, kind := range []string{"image", "binary", "modules"} {
		if byVersion[best][kind] && !(kind == "image" && byVersion[best]["binary"]) {
			chosen = append(chosen, "linux-"+kind+"-"+best)
		}
	}
	return chosen
}

// newer compares versions by their numbers, from the left.
func newer(a, b string) bool {
	numbers := regexp.MustCompile(`[0-9]+`)
	x, y := numbers.FindAllString(a, -1), numbers.FindAllString(b, -1)
	for i := range x {
		if i == len(y) {
			return true
		}
		m, _ := strconv.Atoi(x[i])
		n, _ := strconv.Atoi(y[i])
		if m != n {
			return m > n
		}
	}
	return false
}

// keep copies the kernel and the modules that the guest needs, decompressed, from an unpacked package into a directory.
func keep(ctx context.Context, tree, dir string) error {
	found := map[string]string{} // by name up to the first dot
	err := filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			name, ext, _ := strings.Cut(d.Name(), ".")
			if strings.HasPrefix(name, "vmlinuz") {
				name = "vmlinuz"
			} else if !strings.HasPrefix(ext, "ko") {
				return nil
			}
			found[name] = path
		}
		return err
	})
	if err != nil {
		return err
	}
	if found["vmlinuz"] == "" {
		return errors.New("the package has no vmlinuz")
	}
	if err := os.Rename(found["vmlinuz"], filepath.Join(dir, "vmlinuz")); err != nil {
		return err
	}
	for i, name := range modules() {
		if found[name] == "" {
			continue
		}
		to := filepath.Join(dir, fmt.Sprintf("%d-%s.ko", i, name))
		if err := decompress(ctx, found[name], to); err != nil {
			return err
		}
	}
	return nil
}

func decompress(ctx context.Context, from, to string) error {
	if !strings.HasSuffix(from, ".xz") {
		return os.Rename(from, to)
	}
	data, err := exec.CommandContext(ctx, "xz", "-dc", from).Output()
	if err != nil {
		return fmt.Errorf("decompress %s: %w", filepath.Base(from), err)
	}
	return os.WriteFile(to, data, 0o644)
}
