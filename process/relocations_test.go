package process

import (
	"debug/elf"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// imageWithRelocations is an image whose only segment, at address 0x1000, is a
// dynamic section followed by a relocation table.
func imageWithRelocations(entries [][3]uint64) *image {
	const addr, dynamicSize = 0x1000, 48
	var data []byte
	for _, word := range []uint64{
		uint64(elf.DT_RELA), addr + dynamicSize,
		uint64(elf.DT_RELASZ), uint64(len(entries) * relaSize),
		uint64(elf.DT_NULL), 0,
	} {
		data = binary.LittleEndian.AppendUint64(data, word)
	}
	for _, e := range entries {
		for _, word := range e {
			data = binary.LittleEndian.AppendUint64(data, word)
		}
	}
	return &image{
		machine:  elf.EM_X86_64,
		dynamic:  data[:dynamicSize],
		segments: []segment{{addr: addr, data: data}},
	}
}

func TestRelocations(t *testing.T) {
	const relative, other = uint64(elf.R_X86_64_RELATIVE), uint64(elf.R_X86_64_GLOB_DAT)
	entries := [][3]uint64{
		{0x10, relative, 0x100},
		{0x20, relative, 0x200},
		{0x28, other, 0x999},
		{0x50, relative, 0x500},
		{0x40, relative, 0x200},
		{1 << 40, relative, 0x600},
		{0x30, relative, 0x300},
	}
	r := newRelocations(imageWithRelocations(entries))
	got := map[uint64]uint64{}
	for addr := uint64(0); addr < 0x60; addr++ {
		if value, ok := r.lookup(addr); ok {
			got[addr] = value
		}
	}
	want := map[uint64]uint64{0x10: 0x100, 0x20: 0x200, 0x30: 0x300, 0x40: 0x200, 0x50: 0x500}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lookup (-want +got):\n%s", diff)
	}
	targets := slices.Collect(r.targets([]uint64{0x200, 0x500}))
	slices.Sort(targets)
	if diff := cmp.Diff([]uint64{0x20, 0x40, 0x50}, targets); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	if _, ok := r.lookup(1 << 40); ok {
		t.Error("a relocation beyond 4 GiB was kept")
	}
}

func TestRelocationsAbsent(t *testing.T) {
	im := imageWithRelocations(nil)
	binary.LittleEndian.PutUint64(im.dynamic[8:], 0xdead0000) // DT_RELA outside of the image
	binary.LittleEndian.PutUint64(im.dynamic[24:], 1<<62)     // DT_RELASZ
	for _, r := range []relocations{{}, newRelocations(&image{}), newRelocations(im)} {
		if value, ok := r.lookup(0); ok {
			t.Errorf("lookup(0) = %#x", value)
		}
	}
}
