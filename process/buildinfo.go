package process

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"runtime/debug"
	"slices"
	"strings"
)

// Module is a module that the executable was built from.
type Module struct {
	Path    string
	Version string  // "v1.2.3", a pseudo-version, "(devel)" or ""
	Replace *Module // the module used instead, if any
}

// buildInfoMagic starts the build info, which the linker aligns to 16 bytes:
// https://github.com/golang/go/blob/go1.26.8/src/debug/buildinfo/buildinfo.go#L58
const (
	buildInfoMagic    = "\xff Go buildinf:"
	buildInfoAlign    = 16
	buildInfoHeader   = 32
	inlineStringsFlag = 2 // version and modules follow the header as varint-prefixed strings (Go ≥ 1.18)
	maxVersion        = 1 << 10
	maxModules        = 2 << 20 // Kubernetes has 20 KB
	maxBuildID        = 1 << 10
)

// readBuildInfo fills the exported fields from the build info, as far as there
// is one. debug/buildinfo is not used: it fails where the section headers were
// removed from a position-independent executable.
func (b *Binary) readBuildInfo() {
	version, modules := findBuildInfo(b.image)
	if version == "" {
		return
	}
	b.GoVersion = version
	info, err := debug.ParseBuildInfo(modules)
	if err != nil {
		return
	}
	b.MainPackage = info.Path
	b.Main = *newModule(&info.Main)
	for _, dep := range info.Deps {
		b.Deps = append(b.Deps, *newModule(dep))
	}
	b.Profiled = slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "-pgo" && s.Value != "" && s.Value != "off" })
}

func newModule(m *debug.Module) *Module {
	module := &Module{Path: m.Path, Version: m.Version}
	if m.Replace != nil {
		module.Replace = &Module{Path: m.Replace.Path, Version: m.Replace.Version}
	}
	return module
}

// findBuildInfo looks through the writable segments, where the linker puts it.
func findBuildInfo(im *image) (version, modules string) {
	for addr, chunk := range im.chunks((*segment).writable) {
		for at := 0; at < len(chunk); at += len(buildInfoMagic) {
			i := bytes.Index(chunk[at:], []byte(buildInfoMagic))
			if i < 0 {
				break
			}
			at += i
			if (addr+uint64(at))%buildInfoAlign != 0 {
				continue // a program that reads build info holds the magic elsewhere too
			}
			if version, modules = parseBuildInfo(im.rest(addr + uint64(at))); version != "" {
				return version, modules
			}
		}
	}
	return "", ""
}

// parseBuildInfo decodes the build info at the start of b, "" if it is none.
func parseBuildInfo(b []byte) (version, modules string) {
	if len(b) < buildInfoHeader || b[15]&inlineStringsFlag == 0 {
		return "", ""
	}
	version, rest := varintString(b[buildInfoHeader:], maxVersion)
	if !strings.HasPrefix(version, "go") && !strings.HasPrefix(version, "devel") {
		return "", ""
	}
	modules, _ = varintString(rest, maxModules)
	// The text lies between two markers of 16 bytes.
	if n := len(modules); n >= 33 && modules[n-17] == '\n' {
		return version, modules[16 : n-16]
	}
	return version, ""
}

func varintString(b []byte, longest uint64) (s string, rest []byte) {
	n, width := binary.Uvarint(b)
	if width <= 0 || n > longest || n > uint64(len(b)-width) {
		return "", nil
	}
	b = b[width:]
	return string(b[:n]), b[n:]
}

// buildIDs reads the Go and the GNU build ID from the notes.
func buildIDs(im *image) (goID, gnuID string) {
	const (
		goNote  = 4 // cmd/internal/buildid: elfGoBuildIDTag
		gnuNote = 3 // NT_GNU_BUILD_ID
	)
	le := binary.LittleEndian
	for _, note := range im.notes {
		for d := note.data; len(d) >= 12; {
			nameSize, size, kind := uint64(le.Uint32(d)), uint64(le.Uint32(d[4:])), le.Uint32(d[8:])
			start := 12 + (nameSize+3)&^3
			end := start + (size+3)&^3
			if start+size > uint64(len(d)) {
				break
			}
			name, value := d[12:12+nameSize], d[start:start+size]
			switch {
			case kind == goNote && string(name) == "Go\x00\x00":
				goID = string(value[:min(len(value), maxBuildID)])
			case kind == gnuNote && string(name) == "GNU\x00":
				gnuID = hex.EncodeToString(value[:min(len(value), maxBuildID)])
			}
			d = d[min(end, uint64(len(d))):]
		}
	}
	return goID, gnuID
}
