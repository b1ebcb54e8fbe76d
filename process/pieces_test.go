package process

import (
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/remora-agent/remora/internal/testenv"
)

func TestPieceSearch(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		data       []string // each at the next multiple of 0x1000
		want       []Piece
	}{
		{"whole", "abcd", []string{"xabcdx"}, []Piece{{1, 4}}},
		{"the longest pieces", "abcdef", []string{"abxabcxdx", "ef def"}, []Piece{{3, 3}, {0x1003, 3}}},
		{"single bytes", "abc", []string{"cba"}, []Piece{{2, 1}, {1, 1}, {0, 1}}},
		{"a byte that is nowhere", "abc", []string{"ab"}, nil},
		{"across two segments is none", "abcd", []string{"ab", "cd"}, []Piece{{0, 2}, {0x1000, 2}}},
		{"nothing", "a", []string{""}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newPieceSearch([]string{"x", tt.text})
			for i, data := range tt.data {
				s.scan([]byte(data), uint64(i)*0x1000)
			}
			if diff := cmp.Diff(tt.want, s.join(1, len(tt.text))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPieces joins what was found in the file's own bytes.
func TestPieces(t *testing.T) {
	for _, spec := range []buildSpec{stripped(buildSpec{Go: "1.18.10"}), {Go: "1.27.4", PIE: true}, {Go: "1.26.8", Arch: "arm64"}} {
		t.Run(spec.String(), func(t *testing.T) {
			b := openFixture(t, spec)
			texts := []string{"Traceparent: ", "\x00\x0btraceparent", "7f", "e0"}
			for i, pieces := range b.Pieces(texts...) {
				joined := ""
				for _, p := range pieces {
					text, ok := b.Bytes(p.Addr, p.Len)
					if !ok || b.image.segmentAt(p.Addr).writable() {
						t.Errorf("%q: %#x is not in read-only memory", texts[i], p.Addr)
					}
					joined += string(text)
				}
				if joined != texts[i] || len(texts[i]) == 2 && len(pieces) != 1 {
					t.Errorf("%q: got %q of %v", texts[i], joined, pieces)
				}
			}
		})
	}
}

// TestTouch: addresses of the file are readable in the running process, and others are an error.
func TestTouch(t *testing.T) {
	testenv.RequireRoot(t)
	path := testenv.Build(t, testenv.BuildSpec{Dir: "testdata/server", Go: "1.26.8", PIE: true})
	b := openBinary(t, path)
	pid := start(t, exec.Command(path))
	main := b.Functions("main.main")["main.main"][0].Addr
	fs := NewFS("/proc")
	bias, err := fs.LoadBias(pid, b.EntryPoint())
	if err != nil {
		t.Fatal(err)
	}
	if err := fs.Touch(pid, []uint64{bias + main, bias + main + 8, bias + b.EntryPoint()}); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"no memory":  fs.Touch(pid, []uint64{1 << 45}),
		"no process": fs.Touch(1<<22+1, []uint64{main}),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
