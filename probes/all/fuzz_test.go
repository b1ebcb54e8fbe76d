package all

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/remora-agent/remora/bpf"
	"github.com/remora-agent/remora/probes"
)

// FuzzDecoders: any event is an error or a span that can be sent, whatever the probe.
func FuzzDecoders(f *testing.F) {
	var decoders []probes.Decoder
	for _, p := range Probes() {
		decoder, err := p.NewDecoder(func(string) string { return "" })
		if err != nil {
			f.Fatal(err)
		}
		decoders = append(decoders, decoder)
	}
	for _, size := range []int{0, 64, 512, 8192} {
		f.Add(make([]byte, size))
		f.Add(bytes.Repeat([]byte{0xff}, size))
	}
	target := probes.Target{
		Interval: func(start, end uint64) (uint64, uint64) { return start, end },
		TypeName: func(addr uint64) (string, bool) { return "*errors.errorString", addr%2 == 0 },
	}
	f.Fuzz(func(t *testing.T, event []byte) {
		head, ok := bpf.Head(event)
		if !ok {
			return
		}
		for _, decode := range decoders {
			span, err := decode(head, event, target)
			if err != nil {
				continue
			}
			if _, err := proto.Marshal(span); err != nil {
				t.Error(err)
			}
		}
	})
}
