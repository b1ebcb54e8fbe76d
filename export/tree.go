package export

import (
	"cmp"
	"slices"
	"unicode/utf8"
)

// node is a span's place in its trace's tree.
type node struct {
	item
	branch string // glyphs before the span's own line: "│  ├─ "
	under  string // glyphs before lines that belong to the span: "│  │  "
}

// arrange returns the spans of a trace in the order of a tree, parents first, siblings by start. A span whose parent is not
// there is a root. Every span comes exactly once, also when parents form a ring or IDs repeat: the IDs are not our own.
func arrange(spans []item) []node {
	sorted := slices.Clone(spans)
	slices.SortStableFunc(sorted, func(a, b item) int {
		return cmp.Compare(a.span.StartTimeUnixNano, b.span.StartTimeUnixNano)
	})
	present := make(map[string]bool)
	for _, it := range sorted {
		present[string(it.span.SpanId)] = true
	}
	var roots []item
	children := make(map[string][]item)
	for _, it := range sorted {
		parent := string(it.span.ParentSpanId)
		if parent == "" || !present[parent] {
			roots = append(roots, it)
		} else {
			children[parent] = append(children[parent], it)
		}
	}
	a := arranger{children: children}
	for _, root := range roots {
		a.add(node{item: root})
	}
	// What no root leads to hangs in a ring, which is opened at its earliest span.
	for _, it := range sorted {
		if siblings := children[string(it.span.ParentSpanId)]; slices.Contains(siblings, it) {
			children[string(it.span.ParentSpanId)] = slices.DeleteFunc(siblings, func(s item) bool { return s == it })
			a.add(node{item: it})
		}
	}
	return a.nodes
}

// maxIndent is how many columns the glyphs before a span may take; deeper spans stand below each other. A chain of thousands
// of spans must not become as many columns.
const maxIndent = 36

type arranger struct {
	children map[string][]item // by parent; an entry is removed when it is placed
	nodes    []node
}

// add places a span and everything below it.
func (a *arranger) add(n node) {
	a.nodes = append(a.nodes, n)
	id := string(n.span.SpanId)
	below := a.children[id]
	delete(a.children, id)
	if len(below) > 0 {
		a.nodes[len(a.nodes)-1].under += "│ "
	}
	indent := n.under
	if utf8.RuneCountInString(indent) >= maxIndent {
		indent = string([]rune(indent)[:maxIndent-3])
	}
	for i, child := range below {
		branch, under := "├─ ", "│  "
		if i == len(below)-1 {
			branch, under = "└─ ", "   "
		}
		a.add(node{item: child, branch: indent + branch, under: indent + under})
	}
}
