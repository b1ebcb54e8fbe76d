package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// Forget removes what is known of a target that left. Returns how many operations were still under way.
func (r *Runtime) Forget(target uint32) (unfinished int, err error) {
	var key SpanKey
	var place uint32
	gone := map[SpanKey]uint32{}
	kept := uint64(0)
	keys := r.shared.Places.Iterate()
	for keys.Next(&key, &place) {
		if key.Target == target {
			gone[key] = place
		} else {
			kept++
		}
	}
	if err := keys.Err(); err != nil {
		return 0, fmt.Errorf("cannot list operations: %w", err)
	}
	for key, place := range gone {
		underWay, err := r.forgetOperation(key, place)
		if err != nil {
			return unfinished, err
		}
		if underWay {
			unfinished++
		}
	}
	if len(gone) > 0 {
		if err := r.shared.OperationCount.Put(uint32(0), kept); err != nil {
			return unfinished, fmt.Errorf("cannot count operations: %w", err)
		}
	}
	return unfinished, errors.Join(
		forget(r.shared.Callers, target, func(k SpanKey) uint32 { return k.Target }),
		forget(r.shared.Contexts, target, func(k ContextKey) uint32 { return k.Target }),
		r.forgetSteering(target),
	)
}

// forgetOperation frees a place, and says whether its operation was still under way.
func (r *Runtime) forgetOperation(key SpanKey, place uint32) (underWay bool, err error) {
	var entry []byte
	if err := r.shared.Operations.Lookup(place, &entry); err != nil {
		return false, fmt.Errorf("cannot read an operation: %w", err)
	}
	switch err := r.shared.Places.Delete(key); {
	case errors.Is(err, ebpf.ErrKeyNotExist):
		return false, nil // it has just ended
	case err != nil:
		return false, fmt.Errorf("cannot remove an operation: %w", err)
	}
	return binary.NativeEndian.Uint32(entry) != operationIdle, r.free(place)
}

// free makes a place nobody's.
func (r *Runtime) free(place uint32) error {
	if err := r.shared.FreePlaces.Put(nil, place); err != nil {
		return fmt.Errorf("cannot free the place of an operation: %w", err)
	}
	return nil
}

// forget removes a target's entries from a map of places.
func forget[K any](m *ebpf.Map, target uint32, of func(K) uint32) error {
	var key K
	var place uint32
	var gone []K
	entries := m.Iterate()
	for entries.Next(&key, &place) {
		if of(key) == target {
			gone = append(gone, key)
		}
	}
	if err := entries.Err(); err != nil {
		return fmt.Errorf("cannot list the entries of a map: %w", err)
	}
	return remove(m, gone)
}

func remove[K any](m *ebpf.Map, keys []K) error {
	for _, k := range keys {
		if err := m.Delete(k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("cannot remove an entry of a map: %w", err)
		}
	}
	return nil
}
