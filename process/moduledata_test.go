package process

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSearchLayout hides the known layouts: the search must find the same
// fields in every version's moduledata.
func TestSearchLayout(t *testing.T) {
	for _, spec := range layoutSpecs() {
		t.Run(spec.String(), func(t *testing.T) {
			b := openFixture(t, stripped(spec))
			addr, ok := moduledataAddr(b)
			if !ok {
				t.Fatal("the moduledata is not found again")
			}
			md, ok := b.image.moduledataAt(addr)
			if !ok || !md.searchLayout(b.image, addr) {
				t.Fatal("no layout found")
			}
			want := b.md
			want.textSections, want.mapTypeSize = nil, md.mapTypeSize // what the search does not look for
			if diff := cmp.Diff(want, md, cmp.AllowUnexported(moduledata{}, textSection{})); diff != "" {
				t.Errorf("(-known +searched):\n%s", diff)
			}
		})
	}
}

// moduledataAddr finds the moduledata of an opened executable again.
func moduledataAddr(b *Binary) (uint64, bool) {
	pclntabs := b.image.pclntabSections()
	if len(pclntabs) == 0 {
		pclntabs = b.image.scanPclntabs(func(*segment) bool { return true })
	}
	for addr := range b.image.references(pclntabs) {
		if md, ok := b.image.moduledataAt(addr); ok && md.readLayout(b.image, addr) {
			return addr, true
		}
	}
	return 0, false
}

func TestPclntabHeader(t *testing.T) {
	for _, test := range []struct {
		header [8]byte
		want   uint32 // 0: none
	}{
		{[8]byte{0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8}, pclntabGo120},
		{[8]byte{0xf0, 0xff, 0xff, 0xff, 0, 0, 4, 8}, pclntabGo118},
		{[8]byte{0xfa, 0xff, 0xff, 0xff, 0, 0, 1, 8}, pclntabGo116},
		{[8]byte{0xfb, 0xff, 0xff, 0xff, 0, 0, 1, 8}, 0}, // Go 1.2–1.15
		{[8]byte{0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 4}, 0}, // 32-bit
		{[8]byte{0xf1, 0xff, 0xff, 0xff, 1, 0, 1, 8}, 0},
		{[8]byte{0xf1, 0xff, 0xff, 0xff, 0, 0, 3, 8}, 0},
		{[8]byte{}, 0},
	} {
		got, ok := pclntabHeader(binary.LittleEndian.Uint64(test.header[:]))
		if ok != (test.want != 0) || ok && got != test.want {
			t.Errorf("pclntabHeader(%x) = %#x, %v", test.header, got, ok)
		}
	}
}

func TestTextSections(t *testing.T) {
	md := moduledata{
		text:         0x1000,
		functab:      binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 0x10), 0x90), 0x180),
		textSections: []textSection{{0, 0x80, 0x1000}, {0x80, 0x180, 0x5000}},
	}
	got := []uint64{md.entry(0), md.entry(1), md.entry(2)}
	if diff := cmp.Diff([]uint64{0x1010, 0x5010, 0x5100}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
