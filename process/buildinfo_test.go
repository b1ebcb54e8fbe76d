package process

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// encodeBuildInfo makes build info as the linker does.
func encodeBuildInfo(version, modules string) []byte {
	b := make([]byte, buildInfoHeader)
	copy(b, buildInfoMagic)
	b[14], b[15] = wordSize, inlineStringsFlag
	for _, s := range []string{version, modules} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

func markModules(modules string) string {
	marker := strings.Repeat("m", 16)
	return marker + modules + marker
}

func TestParseBuildInfo(t *testing.T) {
	const modules = "path\tx\n"
	for name, test := range map[string]struct {
		raw              []byte
		version, modules string
	}{
		"modules":      {encodeBuildInfo("go1.26.8", markModules(modules)), "go1.26.8", modules},
		"no modules":   {encodeBuildInfo("go1.26.8", ""), "go1.26.8", ""},
		"unmarked":     {encodeBuildInfo("go1.26.8", "path"), "go1.26.8", ""},
		"experiment":   {encodeBuildInfo("go1.25.1 X:nogreenteagc,synctest", ""), "go1.25.1 X:nogreenteagc,synctest", ""},
		"development":  {encodeBuildInfo("devel go1.28-abc Mon", ""), "devel go1.28-abc Mon", ""},
		"no version":   {encodeBuildInfo("", markModules(modules)), "", ""},
		"garbage":      {encodeBuildInfo("\x00\x01", ""), "", ""},
		"old pointers": {make([]byte, 64), "", ""},
		"short":        {encodeBuildInfo("go1.26.8", "")[:35], "", ""},
		"empty":        {nil, "", ""},
		"huge version": {append(encodeBuildInfo("", "")[:buildInfoHeader], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), "", ""},
	} {
		version, modules := parseBuildInfo(test.raw)
		if version != test.version || modules != test.modules {
			t.Errorf("%s: %q, %q; want %q, %q", name, version, modules, test.version, test.modules)
		}
	}
}

func TestReadBuildInfo(t *testing.T) {
	const modules = "path\texample.com/a/cmd\n" +
		"mod\texample.com/a\t(devel)\t\n" +
		"dep\texample.com/b\tv0.0.0-20260101000000-abcdefabcdef\th1:x\n" +
		"dep\texample.com/c\tv1.0.0+incompatible\n=>\t../c\t(devel)\t\n" +
		"build\t-compiler=gc\nbuild\t-pgo=/src/default.pgo\n"
	// The magic alone, as in a program that reads build info, comes first.
	data := append([]byte("01"+buildInfoMagic+"\x08\x02"), make([]byte, 30)...)
	data = append(data[:32], encodeBuildInfo("go1.26.8", markModules(modules))...)
	b := &Binary{image: &image{segments: []segment{{addr: 0x1000, flags: 6, data: data}}}}
	b.readBuildInfo()
	want := &Binary{
		GoVersion:   "go1.26.8",
		MainPackage: "example.com/a/cmd",
		Main:        Module{Path: "example.com/a", Version: "(devel)"},
		Deps: []Module{
			{Path: "example.com/b", Version: "v0.0.0-20260101000000-abcdefabcdef"},
			{Path: "example.com/c", Version: "v1.0.0+incompatible", Replace: &Module{Path: "../c", Version: "(devel)"}},
		},
	}
	got := &Binary{GoVersion: b.GoVersion, MainPackage: b.MainPackage, Main: b.Main, Deps: b.Deps}
	if diff := cmp.Diff(want.Deps, got.Deps); diff != "" || got.Main != want.Main || got.GoVersion != want.GoVersion || got.MainPackage != want.MainPackage || !b.Profiled {
		t.Errorf("%+v (-want +got):\n%s", got, diff)
	}
}

func TestBuildIDs(t *testing.T) {
	note := func(name string, kind uint32, value string) []byte {
		b := binary.LittleEndian.AppendUint32(nil, uint32(len(name)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
		b = binary.LittleEndian.AppendUint32(b, kind)
		b = append(b, name...)
		b = append(b, value...)
		return append(b, make([]byte, -len(b)&3)...)
	}
	im := &image{notes: []segment{
		{data: note("GNU\x00", 3, "\x01\xab")},
		{data: append(note("Xen\x00", 4, "zzz"), note("Go\x00\x00", 4, "a/b/c")...)},
		{data: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}},
	}}
	goID, gnuID := buildIDs(im)
	if goID != "a/b/c" || gnuID != "01ab" {
		t.Errorf("build IDs %q and %q", goID, gnuID)
	}
}

// FuzzBuildInfo: any bytes are a Go version and the text of the modules, or nothing.
func FuzzBuildInfo(f *testing.F) {
	header := append([]byte(buildInfoMagic), 8, inlineStringsFlag)
	header = append(header, make([]byte, buildInfoHeader-len(header))...)
	f.Add(append(header[:len(header):len(header)], "\x06go1.26\x00"...))
	f.Add(append(header[:len(header):len(header)], "\x06go1.26\xff\xff\xff\xff\xff\xff\xff\xff\x7f"...))
	f.Add(header)
	f.Fuzz(func(t *testing.T, b []byte) {
		version, modules := parseBuildInfo(b)
		if len(version) > maxVersion || len(modules) > maxModules || version == "" && modules != "" {
			t.Errorf("version %q, modules %q", version, modules)
		}
	})
}
