package process

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime/debug"
	"slices"
	"sort"
	"strings"
)

// functabEntry is the size of runtime.functab: the offset of the code from
// text, then the offset of the _func record in pclntable:
// https://github.com/golang/go/blob/go1.26.8/src/runtime/symtab.go#L580
const functabEntry = 8

// maxMatches bounds the functions that Functions returns.
const maxMatches = 1 << 18

// Function is one piece of code with a name of its own.
type Function struct {
	Name string
	Addr uint64 // link-time address of the first instruction
	Size uint64 // bytes up to the next function, alignment padding included
}

// Functions returns the functions with the given names, each name's in order of
// address. There may be several: a wrapper for the other calling convention has
// the same name, and so has a vendored copy. Names are spelled as in a stack
// trace ("net/http.(*conn).serve", "main.main.func1"). A name that ends in "*"
// stands for all that begin with what precedes it; the pattern is the result's
// key. Names without code are absent from the result, which is nil if the file
// was truncated meanwhile.
//
// One call walks all functions of the executable once, some milliseconds in a
// large one: ask for everything in one call.
func (b *Binary) Functions(names ...string) (found map[string][]Function) {
	var err error
	defer b.image.recoverFault(debug.SetPanicOnFault(true), &err)
	defer b.image.release()
	wanted := b.md.findNames(names)
	result, count := map[string][]Function{}, 0
	for i := range b.md.functionCount() {
		name, ok := wanted[b.md.nameOffset(i)]
		if !ok {
			continue
		}
		addr, size, ok := b.md.extent(i)
		if !ok {
			continue
		}
		for _, key := range name.keys {
			if count++; count > maxMatches {
				return result
			}
			result[key] = append(result[key], Function{name.text, addr, size})
		}
	}
	return result
}

// FunctionAt returns the function whose code holds the link-time address addr,
// false if there is none.
func (b *Binary) FunctionAt(addr uint64) (f Function, ok bool) {
	var err error
	defer b.image.recoverFault(debug.SetPanicOnFault(true), &err)
	md := &b.md
	next := sort.Search(md.functionCount(), func(i int) bool { return md.entry(i) > addr })
	if next == 0 {
		return Function{}, false
	}
	f, ok = md.function(next - 1)
	if !ok || addr-f.Addr >= f.Size {
		return Function{}, false
	}
	return f, true
}

// InlinedOnly reports whether the executable knows a function of this name but
// has no code of its own for it: every call was inlined, and there is nothing
// to attach a probe to.
func (b *Binary) InlinedOnly(name string) bool {
	return name != "" && b.hasFunctionName(name) && len(b.Functions(name)[name]) == 0
}

func (b *Binary) hasFunctionName(name string) (has bool) {
	var err error
	defer b.image.recoverFault(debug.SetPanicOnFault(true), &err)
	return bytes.Contains(b.md.funcNames, []byte("\x00"+name+"\x00")) ||
		bytes.HasPrefix(b.md.funcNames, []byte(name+"\x00"))
}

// Code returns a copy of the function's machine code as the file holds it,
// alignment padding included.
func (b *Binary) Code(f Function) (code []byte, err error) {
	defer b.image.recoverFault(debug.SetPanicOnFault(true), &err)
	if f.Size > maxListing {
		return nil, fmt.Errorf("cannot read the code of %s at %#x in %s: it has %d bytes, the most that is read is %d", f.Name, f.Addr, b.Path, f.Size, maxListing)
	}
	s := b.image.segmentAt(f.Addr)
	if s == nil || !s.executable() || f.Size > s.end()-f.Addr {
		return nil, fmt.Errorf("cannot read the code of %s at %#x in %s: outside of the executable's code", f.Name, f.Addr, b.Path)
	}
	return bytes.Clone(b.image.bytes(f.Addr, f.Size)), nil
}

// functionCount is the number of functions; functab has one entry more, whose
// code offset ends the last.
func (md *moduledata) functionCount() int { return max(len(md.functab)/functabEntry-1, 0) }

// entry returns the address where the i-th function's code starts.
func (md *moduledata) entry(i int) uint64 {
	offset := uint64(binary.LittleEndian.Uint32(md.functab[i*functabEntry:]))
	if len(md.textSections) > 1 {
		for j, s := range md.textSections {
			last := j == len(md.textSections)-1 && offset == s.end // the end of the last function
			if offset >= s.vaddr && (offset < s.end || last) {
				return s.base + offset - s.vaddr
			}
		}
	}
	return md.text + offset
}

// nameOffset returns the position of the i-th function's name in funcnametab:
// the second 32-bit word of its _func record:
// https://github.com/golang/go/blob/go1.26.8/src/runtime/runtime2.go#L1072
func (md *moduledata) nameOffset(i int) uint32 {
	const unnamed = ^uint32(0)
	record := uint64(binary.LittleEndian.Uint32(md.functab[i*functabEntry+4:]))
	if record+8 > uint64(len(md.functions)) {
		return unnamed
	}
	return binary.LittleEndian.Uint32(md.functions[record+4:])
}

// extent returns where the i-th function's code lies, false if its table entry
// makes no sense.
func (md *moduledata) extent(i int) (addr, size uint64, ok bool) {
	start, end := md.entry(i), md.entry(i+1)
	return start, end - start, start <= end
}

// function returns the i-th function.
func (md *moduledata) function(i int) (Function, bool) {
	name, ok := cString(md.funcNames, uint64(md.nameOffset(i)))
	addr, size, ok2 := md.extent(i)
	return Function{name, addr, size}, ok && ok2
}

// wantedName is a name in funcnametab that Functions was asked for.
type wantedName struct {
	text string
	keys []string // the spellings that asked for it
}

// findNames finds names and patterns in funcnametab and returns the matches by
// their position there. Comparing positions afterwards is much quicker than
// comparing every function's name.
func (md *moduledata) findNames(names []string) map[uint32]wantedName {
	exact, prefixes := map[string]wantedName{}, []string{}
	var lengths [256]bool // modulo 256; most names differ from the wanted ones by their length already
	for _, name := range names {
		if !strings.HasSuffix(name, "*") {
			exact[name], lengths[len(name)%len(lengths)] = wantedName{name, []string{name}}, true
		} else if !slices.Contains(prefixes, name) {
			prefixes = append(prefixes, name)
		}
	}
	found, count := map[uint32]wantedName{}, 0
	for at := 0; at < len(md.funcNames) && count < maxMatches; {
		length := bytes.IndexByte(md.funcNames[at:], 0)
		if length < 0 {
			break
		}
		name := md.funcNames[at : at+length]
		var match wantedName
		if lengths[length%len(lengths)] {
			match = exact[string(name)]
		}
		for _, pattern := range prefixes {
			if p := pattern[:len(pattern)-1]; length >= len(p) && string(name[:len(p)]) == p {
				match.keys = append(match.keys, pattern)
			}
		}
		if match.keys != nil {
			match.text = string(name)
			found[uint32(at)] = match
			count += len(match.keys)
		}
		at += length + 1
	}
	return found
}
