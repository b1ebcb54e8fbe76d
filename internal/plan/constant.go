package plan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/probes"
	"github.com/remora-agent/remora/process"
)

// resolve finds a constant's value in the binary. A missing optional field is bpf.Absent, never 0.
func resolve(b *process.Binary, c probes.Constant) (any, error) {
	switch of := c.Of.(type) {
	case probes.Field:
		return field(b, probes.Fields{of}, c)
	case probes.Fields:
		return field(b, of, c)
	case probes.Size:
		size, err := b.StructSize(string(of))
		if err == nil && c.Max > 0 && int64(size) > c.Max {
			size = uint64(c.Max) // so much is read of it
		}
		return int64(size), err
	case probes.Itabs:
		var all []uint64
		for _, name := range of.Concrete {
			all = append(all, b.Itabs(of.Interface, name)...)
		}
		return addresses(all, c.Optional, fmt.Sprintf("no itab of %s for %s", strings.Join(of.Concrete, " or "), of.Interface))
	case probes.Types:
		var all []uint64
		for _, name := range of {
			all = append(all, b.TypeAddrs(name)...)
		}
		return addresses(all, c.Optional, "no type of "+fmt.Sprint(of))
	case probes.Contexts:
		return contexts(b), nil
	case probes.Values:
		return values(b, of), nil
	case probes.Entry:
		return entry(b, string(of))
	case probes.Returns:
		return returns(b, of, c.Optional)
	case probes.ReadOnly:
		low, size := b.ReadOnly()
		return bpf.AddressRange{Low: low, Size: size}, nil
	case probes.Pieces:
		return pieces(b)
	case probes.MapOf:
		l, err := b.Map(string(of))
		if err != nil {
			return nil, err
		}
		return mapLayout(l)
	}
	return nil, fmt.Errorf("constant %s: a source of unknown kind %T", c.Name, c.Of)
}

// entry is the address of a function of which there is only one.
func entry(b *process.Binary, name string) (uint64, error) {
	all := b.Functions(name)[name]
	if len(all) != 1 {
		return 0, fmt.Errorf("the program has %d functions %s, not 1", len(all), name)
	}
	return all[0].Addr, nil
}

// returns are the addresses behind calls.
func returns(b *process.Binary, calls probes.Returns, optional bool) (bpf.AddrSet, error) {
	var all []uint64
	for _, in := range calls {
		for _, f := range b.Functions(in.Func)[in.Func] {
			code, err := codeOf(b, f)
			if err != nil {
				return bpf.AddrSet{}, err
			}
			for _, call := range code.Calls() {
				if call.Name == in.Calls {
					all = append(all, call.Return)
				}
			}
		}
	}
	return addresses(all, optional, fmt.Sprintf("no call of %v", calls))
}

func field(b *process.Binary, alternatives probes.Fields, c probes.Constant) (int64, error) {
	var first error
	for _, f := range alternatives {
		path, err := b.Field(f.Type, f.Path)
		if err == nil {
			offset, ok := path.Inline()
			switch {
			case !ok:
				err = fmt.Errorf("%s.%s leads through a pointer", f.Type, f.Path)
			case c.Max > 0 && int64(offset) > c.Max:
				err = fmt.Errorf("%s.%s is at offset %d, beyond %d", f.Type, f.Path, offset, c.Max)
			default:
				return int64(offset), nil
			}
		}
		if first == nil {
			first = err
		}
	}
	if c.Optional {
		return bpf.Absent, nil
	}
	return 0, first
}

func addresses(addrs []uint64, optional bool, missing string) (bpf.AddrSet, error) {
	var set bpf.AddrSet
	if len(addrs) == 0 && !optional {
		return set, fmt.Errorf("%s in the program", missing)
	}
	set.N = uint64(copy(set.Addr[:], addrs))
	if len(addrs) > len(set.Addr) && !optional {
		return set, fmt.Errorf("%d addresses where %d have room", len(addrs), len(set.Addr))
	}
	return set, nil
}

// contexts tells how to walk from a context to its parent. A program may have more types of contexts than there is room for:
// the standard library's come first, as nearly every chain consists of those.
func contexts(b *process.Binary) bpf.ContextTypes {
	var types bpf.ContextTypes
	wrappers := b.Wrappers("context.Context", "net/http.Request", "ctx")
	slices.SortStableFunc(wrappers, func(a, b process.Wrapper) int {
		return cmp.Compare(boolean(!standard(a.Type)), boolean(!standard(b.Type)))
	})
	for _, w := range wrappers {
		if types.N == uint64(len(types.At)) {
			break
		}
		at := &types.At[types.N]
		at.Type, at.Path[1] = w.Addr, bpf.ContextPathEnd
		for i, offset := range w.Path {
			at.Path[i] = int32(offset)
		}
		types.N++
	}
	return types
}

func standard(name string) bool { return strings.HasPrefix(strings.TrimPrefix(name, "*"), "context.") }

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// mapLayout is the part of a layout that the programs walk by. Maps whose keys or values lie behind pointers are not for them.
func mapLayout(l process.MapLayout) (bpf.MapLayout, error) {
	if l.KeyIndirect || l.ElemIndirect {
		return bpf.MapLayout{}, errors.New("a map with keys or values behind pointers cannot be walked")
	}
	out := bpf.MapLayout{
		Keys: uint32(l.FirstKey), KeyStride: uint32(l.KeyStride),
		Elems: uint32(l.FirstElem), ElemStride: uint32(l.ElemStride),
		GroupSize: uint32(l.GroupSize),
	}
	if l.Swiss {
		out.Swiss = 1
		out.DirPtr, out.DirLen = uint32(l.DirPtr), uint32(l.DirLen)
		out.TableGroups, out.TableMask = uint32(l.Groups), uint32(l.LengthMask)
		out.Control = uint32(l.Ctrl)
		return out, nil
	}
	out.Flags, out.Log2Buckets = uint32(l.Flags), uint32(l.B)
	out.Buckets, out.OldBuckets = uint32(l.Buckets), uint32(l.OldBuckets)
	out.Control, out.Overflow = uint32(l.TopHash), uint32(l.Overflow)
	return out, nil
}
