package process

import (
	"cmp"
	"hash/maphash"
	"runtime/debug"
	"slices"
	"sort"
	"strings"
)

const (
	maxNesting  = 8    // pointers and slices that a type's name may be wrapped in
	maxSameName = 1024 // types that are looked at for one name
	maxIndexed  = 512  // bytes of a type's string; longer names are not found
)

// TypeName returns the canonical name of the type whose descriptor is at a
// link-time address: for a named type its import path, a dot and its name
// ("net/http.Request", "example.com/x.Pair[string,int]"), for pointers and
// slices to one the same behind "*" or "[]", for other types Go's own notation
// ("string", "map[string][]string"). It returns false where no descriptor is.
func (b *Binary) TypeName(addr uint64) (name string, ok bool) {
	var err error
	defer b.image.recoverFault(debug.SetPanicOnFault(true), &err)
	d, ok := b.md.descriptor(b.image, addr)
	if !ok {
		return "", false
	}
	name = b.canonical(d)
	return name, true
}

// TypeAddrs returns the link-time addresses of the descriptors with a canonical
// name, ascending; nil if there are none. It finds named types, pointers to them
// and predeclared types. An interface value's type word is such an address plus
// the load address, so that the result identifies a dynamic type.
func (b *Binary) TypeAddrs(name string) (addrs []uint64) {
	var err error
	defer b.image.recoverFault(debug.SetPanicOnFault(true), &err)
	for _, d := range b.typesNamed(name) {
		addrs = append(addrs, d.addr)
	}
	return addrs
}

func (b *Binary) canonical(d descriptor) string {
	return b.canonicalNested(d, 0)
}

func (b *Binary) canonicalNested(d descriptor, depth int) string {
	text := string(b.md.typeString(b.image, d))
	if d.named() {
		path := b.md.packagePath(b.image, d)
		if path == "" {
			return text // predeclared
		}
		return path + "." + shortName(text)
	}
	prefix := ""
	switch d.kind {
	case kindPointer:
		prefix = "*"
	case kindSlice:
		prefix = "[]"
	}
	if prefix == "" || depth == maxNesting {
		return text
	}
	elem, ok := b.md.elem(b.image, d)
	if !ok {
		return text
	}
	return prefix + b.canonicalNested(elem, depth+1)
}

// shortName strips the package from a named type's string or canonical name:
// "http.Request" and "net/http.Request" both give "Request". The dots within
// type arguments do not count.
func shortName[T string | []byte](name T) T {
	start := 0
	for i := 0; i < len(name) && name[i] != '['; i++ {
		if name[i] == '.' {
			start = i + 1
		}
	}
	return name[start:]
}

// splitStars splits "**pkg.T" into 2 and "pkg.T".
func splitStars[T string | []byte](name T) (stars int, rest T) {
	for stars < len(name) && name[stars] == '*' {
		stars++
	}
	return stars, name[stars:]
}

// typesNamed returns the descriptors with a canonical name, by address.
func (b *Binary) typesNamed(name string) []descriptor {
	if found := b.searchTypelinks(name); len(found) > 0 {
		return found
	}
	return b.searchIndex(name)
}

// typeNamed returns the first of them.
func (b *Binary) typeNamed(name string) (descriptor, bool) {
	found := b.typesNamed(name)
	if len(found) == 0 {
		return descriptor{}, false
	}
	return found[0], true
}

// searchTypelinks looks for a named type or a pointer to one by binary search in
// the typelinks, which are sorted by type string and list pointer types. Type
// strings have the package's name, not its path, so that this guesses what
// packages are usually called; what it misses the index has.
func (b *Binary) searchTypelinks(name string) []descriptor {
	stars, rest := splitStars(name)
	short := shortName(rest)
	path := strings.TrimSuffix(strings.TrimSuffix(rest, short), ".")
	if path == "" || stars > 1 {
		return nil
	}
	for _, guess := range packageNames(path) {
		var found []descriptor
		for _, pointer := range b.typelinksWithString("*" + guess + "." + short) {
			d := pointer
			if elem, ok := b.md.elem(b.image, pointer); stars == 0 && ok {
				d = elem
			}
			if b.canonical(d) == name {
				found = append(found, d)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// packageNames guesses the name of the package with an import path, likeliest
// first: "net/http" → http, "github.com/redis/go-redis/v9" → redis.
func packageNames(path string) []string {
	elems := strings.Split(path, "/")
	last := elems[len(elems)-1]
	if len(elems) > 1 && isMajorVersion(last) {
		last = elems[len(elems)-2]
	}
	last, _, _ = strings.Cut(last, ".v") // gopkg.in/yaml.v3
	names := []string{last}
	for _, other := range []string{
		strings.TrimPrefix(last, "go-"),
		strings.TrimSuffix(last, "-go"),
		strings.ReplaceAll(last, "-", "_"),
	} {
		if !slices.Contains(names, other) {
			names = append(names, other)
		}
	}
	return names
}

func isMajorVersion(elem string) bool {
	digits, ok := strings.CutPrefix(elem, "v")
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// typelinksWithString returns the descriptors in typelinks whose type string is
// text.
func (b *Binary) typelinksWithString(text string) []descriptor {
	md := &b.md
	n := md.typelinkCount()
	at := func(i int) (descriptor, []byte) {
		d, ok := md.descriptor(b.image, md.typelink(i))
		if !ok {
			return d, nil
		}
		return d, md.typeString(b.image, d)
	}
	first := sort.Search(n, func(i int) bool {
		_, s := at(i)
		return string(s) >= text
	})
	var found []descriptor
	for i := first; i < min(n, first+maxSameName); i++ {
		d, s := at(i)
		if string(s) != text {
			break
		}
		found = append(found, d)
	}
	return found
}

// typeIndex finds descriptors by the hash of their name without the package. It
// holds named and predeclared types and pointers to them, sorted by hash.
type typeIndex struct {
	seed    maphash.Seed
	entries []typeIndexEntry
}

type typeIndexEntry struct {
	hash   uint32
	offset uint32 // of the descriptor from types
}

func (x *typeIndex) hash(stars int, short []byte) uint32 {
	return uint32(maphash.Bytes(x.seed, short)) + uint32(stars)
}

// searchIndex looks a name up in the index, which the first call builds.
func (b *Binary) searchIndex(name string) []descriptor {
	b.typesOnce.Do(b.buildTypeIndex)
	x := &b.typeIndex
	stars, rest := splitStars(name)
	hash := x.hash(stars, []byte(shortName(rest)))
	first := sort.Search(len(x.entries), func(i int) bool { return x.entries[i].hash >= hash })
	var found []descriptor
	for _, e := range x.entries[first:min(len(x.entries), first+maxSameName)] {
		if e.hash != hash {
			break
		}
		if d, ok := b.md.descriptor(b.image, b.md.types+uint64(e.offset)); ok && b.canonical(d) == name {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b descriptor) int { return cmp.Compare(a.addr, b.addr) })
	return found
}

// buildTypeIndex enters every type that typelinks and itabs lead to.
func (b *Binary) buildTypeIndex() {
	x := &b.typeIndex
	x.seed = maphash.MakeSeed()
	defer b.image.release()
	for d := range b.allTypes() {
		stars, rest := splitStars(b.md.typeString(b.image, d))
		if (d.named() || stars > 0) && len(rest) <= maxIndexed {
			x.entries = append(x.entries, typeIndexEntry{x.hash(stars, shortName(rest)), uint32(d.addr - b.md.types)})
		}
	}
	slices.SortFunc(x.entries, func(a, b typeIndexEntry) int { return cmp.Compare(a.hash, b.hash) })
}
