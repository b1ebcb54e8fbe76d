package plan

import (
	"errors"
	"fmt"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/process"
)

// steerTexts are the texts that a program is made to write, by their number on the kernel side.
func steerTexts() []string {
	texts := make([]string, bpf.TextCount)
	texts[bpf.TextLineName] = "Traceparent: "
	texts[bpf.TextFieldName] = "\x00\x0btraceparent\x37"
	texts[bpf.TextVersion] = "00-"
	texts[bpf.TextDash] = "-"
	for flags := range 4 {
		texts[bpf.TextLineEnd+flags] = fmt.Sprintf("-%02x\r\n", flags)
		texts[bpf.TextFieldEnd+flags] = fmt.Sprintf("-%02x", flags)
	}
	texts[bpf.TextStateLine] = "Tracestate: "
	texts[bpf.TextStateField] = "\x00\x0atracestate"
	texts[bpf.TextEnd] = "\r\n"
	return texts
}

// pieces finds what trace context can be joined of in the binary's read-only memory.
func pieces(b *process.Binary) (bpf.Pieces, error) {
	var out bpf.Pieces
	texts := steerTexts()
	for i := range out.Hex {
		texts = append(texts, fmt.Sprintf("%02x", i))
	}
	for i := range out.Byte {
		texts = append(texts, string([]byte{byte(i)}))
	}
	found := b.Pieces(texts...)
	for i, list := range found[:len(out.Texts)] {
		if len(list) == 0 || len(list) > len(out.Texts[i].At) {
			return bpf.Pieces{}, fmt.Errorf("the program's read-only memory does not have %q in a few pieces", texts[i])
		}
		out.Texts[i].N = uint64(len(list))
		for k, p := range list {
			out.Texts[i].At[k] = pack(p)
		}
	}
	found = found[len(out.Texts):]
	if !single(out.Byte[:], found[len(out.Hex):]) {
		return bpf.Pieces{}, errors.New("the program's read-only memory does not have all bytes")
	}
	single(out.Hex[:], found) // a pair that is missing is joined of bytes
	return out, nil
}

// single fills out with texts that are of one piece each. It leaves out the others, and says whether there are none.
func single(out []uint64, found [][]process.Piece) bool {
	all := true
	for i := range out {
		if len(found[i]) == 1 {
			out[i] = pack(found[i][0])
		} else {
			all = false
		}
	}
	return all
}

func pack(p process.Piece) uint64 { return bpf.PackPiece(p.Addr, uint64(p.Len)) }
