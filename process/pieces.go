package process

import (
	"bytes"
	"runtime/debug"
	"slices"
)

// Piece is some bytes of the executable's read-only memory.
type Piece struct {
	Addr uint64 // link-time
	Len  int    // bytes
}

// maxPieceScan bounds the bytes that Pieces looks at, about a nanosecond each.
const maxPieceScan = 64 << 20

// Pieces finds bytes in the executable's read-only segments that, joined, are the texts: for each text the fewest pieces there are,
// in order. Where they come from does not matter: data, tables or code. Segments without code are searched first; code only if
// a text is not to be had otherwise. The pieces of a text whose bytes are not all found are nil.
func (b *Binary) Pieces(texts ...string) [][]Piece {
	var err error
	defer b.image.recoverFault(debug.SetPanicOnFault(true), &err)
	defer b.image.release()
	s := newPieceSearch(texts)
	left := maxPieceScan
	for _, code := range []bool{false, true} {
		for i := range b.image.segments {
			seg := &b.image.segments[i]
			if seg.writable() || seg.executable() != code || s.satisfied() && code {
				continue
			}
			n := min(len(seg.data), left)
			s.scan(seg.data[:n], seg.addr)
			left -= n
		}
	}
	out := make([][]Piece, len(texts))
	for i, text := range texts {
		out[i] = s.join(i, len(text))
	}
	return out
}

// pieceSearch knows for every place in every text the longest piece found that continues the text from there.
type pieceSearch struct {
	texts []string
	found [][]Piece
	by    [1 << 16][]uint32 // by the two bytes that a piece begins with: the places, text<<16 | offset
}

func newPieceSearch(texts []string) *pieceSearch {
	s := &pieceSearch{texts: texts}
	for i, text := range texts {
		s.found = append(s.found, make([]Piece, len(text)))
		for k := range len(text) - 1 {
			pair := uint16(text[k])<<8 | uint16(text[k+1])
			s.by[pair] = append(s.by[pair], uint32(i)<<16|uint32(k))
		}
	}
	return s
}

// scan looks through data, which lies at addr.
func (s *pieceSearch) scan(data []byte, addr uint64) {
	for i := range len(data) - 1 {
		pair := uint16(data[i])<<8 | uint16(data[i+1])
		if places := s.by[pair]; len(places) > 0 {
			s.by[pair] = slices.DeleteFunc(places, func(p uint32) bool {
				text, k := s.texts[p>>16], int(p&0xffff)
				n := common(data[i:], text[k:])
				if best := &s.found[p>>16][k]; n > best.Len {
					*best = Piece{addr + uint64(i), n}
				}
				return n == len(text)-k // there is no longer one
			})
		}
	}
	for i, text := range s.texts {
		for k := range len(text) {
			if s.found[i][k].Len > 0 {
				continue
			}
			if at := bytes.IndexByte(data, text[k]); at >= 0 {
				s.found[i][k] = Piece{addr + uint64(at), 1}
			}
		}
	}
}

// common returns how many bytes data and text begin with in common.
func common(data []byte, text string) int {
	n := 0
	for n < len(data) && n < len(text) && data[n] == text[n] {
		n++
	}
	return n
}

// satisfied reports whether every text can be joined, those of two bytes of one piece.
func (s *pieceSearch) satisfied() bool {
	for i, text := range s.texts {
		if n := len(s.join(i, len(text))); n == 0 || n > (len(text)+1)/2 {
			return false
		}
	}
	return true
}

// join takes the longest piece each time, which makes them as few as can be: any part of a piece is one too.
func (s *pieceSearch) join(text, size int) []Piece {
	var pieces []Piece
	for k := 0; k < size; {
		p := s.found[text][k]
		if p.Len == 0 {
			return nil
		}
		pieces = append(pieces, p)
		k += p.Len
	}
	return pieces
}
