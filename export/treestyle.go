package export

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Colours, as parameters of the terminal's SGR sequence.
const (
	colorRed     = "31"
	colorYellow  = "33"
	colorBlue    = "34"
	colorMagenta = "35"
	colorCyan    = "36"
	styleBold    = "1"
	styleDim     = "2"
)

// treeStyle prints traces as trees for a terminal.
type treeStyle struct {
	color bool
	width func() int // of the terminal, in columns
}

// columns are the widths of one trace's columns.
type columns struct{ name, kind, service, status, duration, bar int }

// window is the time that a trace's bars share, in Unix nanoseconds.
type window struct{ start, end uint64 }

// append appends a header line for the trace, a line for each span, and an empty line.
func (t treeStyle) append(out []byte, spans []item) []byte {
	nodes := arrange(spans)
	all := make([]facts, len(nodes))
	w := window{start: math.MaxUint64}
	for i, n := range nodes {
		all[i] = factsOf(n.item)
		w.start = min(w.start, n.span.StartTimeUnixNano)
		w.end = max(w.end, n.span.EndTimeUnixNano)
	}
	out = append(out, t.header(nodes[0].span.TraceId, w, all)...)
	cols := t.layout(all)
	for i, n := range nodes {
		out = append(out, t.line(n, all[i], cols, w)...)
		for _, exception := range all[i].exceptions {
			text := fit("! "+exception, max(20, t.width()-utf8.RuneCountInString(n.under)-2))
			out = append(out, n.under+"  "+t.paint(colorRed, strings.TrimRight(text, " "))+"\n"...)
		}
	}
	return append(out, '\n')
}

func (t treeStyle) header(traceID []byte, w window, all []facts) string {
	var services []string
	failed := 0
	for _, f := range all {
		if f.service != "" && !slices.Contains(services, f.service) {
			services = append(services, f.service)
		}
		if f.failed {
			failed++
		}
	}
	id := hex.EncodeToString(traceID)
	parts := []string{
		t.paint(styleBold, "trace "+id[:min(8, len(id))]),
		durationText(w.duration()),
		strings.Join(services, ", "),
		plural(len(all), "span"),
	}
	if failed > 0 {
		parts = append(parts, t.paint(colorRed, "✗ "+plural(failed, "error")))
	}
	return strings.Join(parts, "  ") + "\n"
}

func (w window) duration() time.Duration { return time.Duration(max(0, int64(w.end-w.start))) }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// layout shares the terminal's width among the columns: the name gets what the others leave.
func (t treeStyle) layout(all []facts) columns {
	const gaps, maxService, minName = 5, 16, 20
	width := t.width()
	c := columns{kind: len("internal"), duration: len("1h00m00s") + 1, bar: min(max(width/4, 10), 40)}
	for _, f := range all {
		c.service = max(c.service, min(maxService, utf8.RuneCountInString(f.service)))
		c.status = max(c.status, min(maxService, utf8.RuneCountInString(f.status())))
	}
	c.name = max(minName, width-c.kind-c.service-c.status-c.duration-c.bar-gaps)
	return c
}

func (t treeStyle) line(n node, f facts, c columns, w window) string {
	color := kindColor(f.kind)
	nameColor := ""
	if f.failed {
		color, nameColor = colorRed, colorRed
	}
	room := c.name - utf8.RuneCountInString(n.branch)
	name := []rune(f.name)
	detail := fit(f.detail(), max(0, room-len(name)))
	if len(name) >= room {
		name, detail = []rune(fit(f.name, max(1, room))), ""
	}
	return strings.TrimRight(strings.Join([]string{
		n.branch + t.paint(nameColor, string(name)) + t.paint(styleDim, detail),
		t.paint(kindColor(f.kind), fit(f.kind, c.kind)),
		fit(f.service, c.service),
		t.paint(nameColor, fit(f.status(), c.status)),
		fmt.Sprintf("%*s", c.duration, durationText(f.duration)),
		t.paint(color, bar(n.span.StartTimeUnixNano, f.duration, w, c.bar)),
	}, " "), " ") + "\n"
}

// detail returns what a span's name leaves out: of whom a server was asked, and whom a client asks.
func (f facts) detail() string {
	var text string
	if f.url != "" {
		text += "  → " + f.url
	}
	if f.path != "" && f.path != f.route && !strings.HasSuffix(f.name, " "+f.path) {
		text += "  " + f.path
	}
	if f.client != "" {
		text += "  ← " + f.client
	}
	return text
}

// status returns the most telling word about how a span ended.
func (f facts) status() string {
	switch {
	case f.httpStatus != "":
		return f.httpStatus
	case f.failed:
		return cmp.Or(f.errorType, "error")
	default:
		return "ok"
	}
}

func kindColor(kind string) string {
	switch kind {
	case "server":
		return colorBlue
	case "client":
		return colorCyan
	case "producer":
		return colorMagenta
	case "consumer":
		return colorYellow
	default:
		return ""
	}
}

// bar draws a span's time in the trace's window; the shortest span still has one cell.
func bar(start uint64, d time.Duration, w window, cells int) string {
	total := float64(max(1, w.duration()))
	// Clamped before they become integers: time stamps may be garbage.
	from := int(min(float64(start-w.start)/total, 1) * float64(cells))
	from = min(from, cells-1)
	length := int(math.Round(min(float64(d)/total, 1) * float64(cells)))
	length = min(max(1, length), cells-from)
	return strings.Repeat(" ", from) + strings.Repeat("█", length)
}

// fit cuts or fills s to n columns. Wide East Asian characters are counted as one.
func fit(s string, n int) string {
	length := utf8.RuneCountInString(s)
	if length <= n {
		return s + strings.Repeat(" ", n-length)
	}
	if n == 0 {
		return ""
	}
	return string([]rune(s)[:n-1]) + "…"
}

// paint colours s, unless colours are off or style is empty.
func (t treeStyle) paint(style, s string) string {
	if !t.color || style == "" || s == "" {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}
