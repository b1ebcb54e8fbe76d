package bpf

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
)

// Reader reads the ring buffer. The kernel wakes nobody for an event, which would cost more than the event itself: call
// Drain on a timer.
type Reader struct {
	ring *ringbuf.Reader
	rec  ringbuf.Record
	size int
}

// NewReader opens the ring buffer; there can be one reader.
func (r *Runtime) NewReader() (*Reader, error) { return OpenRing(r.shared.Events) }

// OpenRing opens any ring buffer.
func OpenRing(events *ebpf.Map) (*Reader, error) {
	ring, err := ringbuf.NewReader(events)
	if err != nil {
		return nil, fmt.Errorf("cannot read the ring buffer: %w", err)
	}
	return &Reader{ring: ring, size: int(events.MaxEntries())}, nil
}

// Drain calls handle with every event that waits. An event is valid during the call only.
func (r *Reader) Drain(handle func(event []byte)) error {
	r.ring.SetDeadline(time.Unix(1, 0)) // long past: read what is there and return
	for {
		switch err := r.ring.ReadInto(&r.rec); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return fmt.Errorf("cannot read the ring buffer: %w", err)
		}
		handle(r.rec.RawSample)
	}
}

// Fill is the share of the ring buffer that waits to be read, 0 to 1.
func (r *Reader) Fill() float64 {
	return float64(r.ring.AvailableBytes()) / float64(r.size)
}

// Close frees the reader.
func (r *Reader) Close() error { return r.ring.Close() }

// AbsentPage returns the target and the address in its memory of which an event says that the page there is not present; false for
// the event of a probe.
func AbsentPage(event []byte) (target uint32, addr uint64, ok bool) {
	if uintptr(len(event)) < unsafe.Sizeof(sharedAbsentPage{}) {
		return 0, 0, false
	}
	e := (*sharedAbsentPage)(unsafe.Pointer(unsafe.SliceData(event)))
	return e.Target, e.Addr, e.Probe == uint32(sharedEventKindABSENT_PAGE)
}

// Head returns the head of an event, false if the event is too short for one. It is valid as long as the event.
func Head(event []byte) (*SpanHead, bool) {
	if uintptr(len(event)) < unsafe.Sizeof(SpanHead{}) {
		return nil, false
	}
	return (*SpanHead)(unsafe.Pointer(unsafe.SliceData(event))), true
}
