package process

import (
	"encoding/binary"
	"runtime/debug"
	"slices"
	"sort"
)

// Inlined are the copies of a function that the compiler has put in the place of its calls in another one.
type Inlined struct {
	Name string   // of the function that was copied
	In   Function // where the copies are; the calls do not come to the function itself
	code []extent // the copies' instructions
}

// Holds says whether the instruction at the link-time address addr belongs to a copy, or to what is inlined in it.
func (in Inlined) Holds(addr uint64) bool {
	return slices.ContainsFunc(in.code, func(e extent) bool { return addr >= e.start && addr < e.end })
}

// extent is [start, end).
type extent struct{ start, end uint64 }

// What the runtime's tables say of a function, from Go 1.20, with which building with a profile began:
// https://github.com/golang/go/blob/go1.26.8/src/runtime/runtime2.go#L1072,
// https://github.com/golang/go/blob/go1.26.8/src/runtime/symtabinl.go#L12
const (
	funcTables        = 28 // number of tables of values by address
	funcDataCount     = 43 // number of offsets of data
	funcRecordSize    = 44 // then the tables' offsets, then those of the data
	tableInlined      = 2  // PCDATA_InlTreeIndex: of which inlined call an instruction is
	dataInlined       = 3  // FUNCDATA_InlTree: the inlined calls
	inlinedCallSize   = 16
	inlinedCallName   = 4 // offset in funcnametab
	inlinedCallParent = 8 // offset of an instruction of the caller, from the function's start
	noFuncData        = ^uint32(0)
	maxInlinedCalls   = 1 << 16 // of one function
	maxInlineEntries  = 1 << 20 // of one function's table of values by address
)

// MaxCopies is the largest number of functions with copies that Inlined returns for one name: far more than there are probes for.
const MaxCopies = 256

// Inlined returns where the functions with the given names (without patterns) were put in the place of calls, each name's in order of address, the
// first MaxCopies of them. It knows nothing of programs built with Go before 1.20.
func (b *Binary) Inlined(names ...string) (found map[string][]Inlined) {
	var err error
	defer b.image.recoverFault(debug.SetPanicOnFault(true), &err)
	defer b.image.release()
	md := &b.md
	result := map[string][]Inlined{}
	if md.magic < pclntabGo120 || md.funcData == 0 {
		return result
	}
	wanted := md.findNames(names)
	budget := maxInlineSteps
	var tree inlineTree
	for i := range md.functionCount() {
		_, size, ok := md.extent(i)
		if !ok {
			continue
		}
		md.readInlineTree(&tree, b.image, i, size, &budget)
		var here map[string]bool
		for at := range tree.count() {
			name := wanted[tree.name(at)].text
			tree.wanted = append(tree.wanted, name)
			if name != "" && len(result[name]) < MaxCopies {
				if here == nil {
					here = map[string]bool{}
				}
				here[name] = true
			}
		}
		if here != nil {
			in, ok := md.function(i)
			if !ok {
				continue
			}
			budget -= len(in.Name)
			for name := range here {
				if budget < 0 {
					break
				}
				result[name] = append(result[name], Inlined{name, in, tree.copies(name, in, &budget)})
			}
		}
		if budget -= tree.count(); budget < 0 {
			break
		}
	}
	return result
}

// maxInlineSteps bounds what one search looks at and keeps: entries of all tables together, and bytes. The largest programs have some millions.
const maxInlineSteps = 1 << 24

// inlineTree is what the tables say of the calls that are inlined in a function.
type inlineTree struct {
	calls  []byte
	code   []numbered // in order of address
	wanted []string   // the calls' names, empty where it is none of those that are searched
}

// numbered is code, from the end of the one before to an offset in the function, of an inlined call, by its place in the tree; -1: of none.
type numbered struct {
	end    uint32
	number int32
}

func (t *inlineTree) count() int { return len(t.calls) / inlinedCallSize }

func (t *inlineTree) name(i int) uint32 {
	return binary.LittleEndian.Uint32(t.calls[i*inlinedCallSize+inlinedCallName:])
}

// parent returns of which call's code the i-th call is, -1 of none.
func (t *inlineTree) parent(i int) int32 {
	offset := uint64(binary.LittleEndian.Uint32(t.calls[i*inlinedCallSize+inlinedCallParent:]))
	next := sort.Search(len(t.code), func(k int) bool { return uint64(t.code[k].end) > offset })
	if next == len(t.code) {
		return -1
	}
	return t.code[next].number
}

// copies returns the instructions of the tree's function that belong to the calls of a name.
func (t *inlineTree) copies(name string, in Function, budget *int) []extent {
	const unknown, no, yes = 0, 1, 2
	known := make([]uint8, t.count())
	var path []int32
	belongs := func(number int32) bool {
		answer := uint8(no)
		for path = path[:0]; number >= 0 && int(number) < len(known); number = t.parent(int(number)) {
			if known[number] != unknown {
				answer = known[number]
				break
			}
			known[number] = no // what comes back to here is no tree, but a ring
			path = append(path, number)
			if t.wanted[number] == name {
				answer = yes
				break
			}
		}
		for _, on := range path {
			known[on] = answer
		}
		return answer == yes
	}
	var found []extent
	end := in.Addr
	for _, c := range t.code {
		e := extent{end, in.Addr + uint64(c.end)}
		end = e.end
		if !belongs(c.number) {
			continue
		}
		if last := len(found) - 1; last >= 0 && found[last].end == e.start {
			found[last].end = e.end
		} else {
			found = append(found, e)
		}
	}
	const perExtent, perCall = 16, 16 // bytes; steps of the search for the parent
	*budget -= len(t.code) + perCall*t.count() + perExtent*len(found)
	return found
}

// readInlineTree reads the calls that are inlined in the i-th function, of size bytes, none where the tables make no sense.
func (md *moduledata) readInlineTree(tree *inlineTree, im *image, i int, size uint64, budget *int) {
	le := binary.LittleEndian
	tree.calls, tree.code, tree.wanted = nil, tree.code[:0], tree.wanted[:0]
	record := uint64(le.Uint32(md.functab[i*functabEntry+4:]))
	if record+funcRecordSize > uint64(len(md.functions)) {
		return
	}
	head := md.functions[record:]
	tables, data := uint64(le.Uint32(head[funcTables:])), uint64(head[funcDataCount])
	if tables <= tableInlined || data <= dataInlined || funcRecordSize+4*(tables+data) > uint64(len(head)) {
		return
	}
	offset := le.Uint32(head[funcRecordSize+4*(tables+dataInlined):])
	if offset == noFuncData {
		return
	}
	tree.code = md.numbers(tree.code, le.Uint32(head[funcRecordSize+4*tableInlined:]), min(size, maxImage), budget)
	highest := int32(-1)
	for _, c := range tree.code {
		highest = max(highest, c.number)
	}
	if highest < 0 || highest >= maxInlinedCalls {
		return
	}
	tree.calls = im.bytes(md.funcData+uint64(offset), (uint64(highest)+1)*inlinedCallSize)
}

// numbers appends a table of values by address to code, which is empty, for a function of size bytes: https://github.com/golang/go/blob/go1.26.8/src/runtime/symtab.go#L1182
func (md *moduledata) numbers(code []numbered, table uint32, size uint64, budget *int) []numbered {
	if table == 0 || uint64(table) >= uint64(len(md.pcTable)) {
		return code
	}
	c := numbered{number: -1}
	for rest := md.pcTable[table:]; uint64(c.end) < size && len(code) < maxInlineEntries && *budget > 0; *budget-- {
		delta, n := binary.Uvarint(rest)
		if n <= 0 || delta == 0 && len(code) > 0 {
			break
		}
		steps, m := binary.Uvarint(rest[n:])
		if m <= 0 || steps > size {
			break
		}
		c.number += int32(uint32(delta)>>1) ^ -int32(delta&1)
		c.end = uint32(min(uint64(c.end)+steps*md.quantum, size))
		code = append(code, c)
		rest = rest[n+m:]
	}
	return code
}
