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
	var value []byte
	var gone []SpanKey
	kept := uint64(0)
	keys := r.shared.Operations.Iterate()
	for keys.Next(&key, &value) {
		if key.Target != target {
			kept++
			continue
		}
		gone = append(gone, key)
		if binary.NativeEndian.Uint32(value) != operationIdle {
			unfinished++
		}
	}
	if err := keys.Err(); err != nil {
		return 0, fmt.Errorf("cannot list operations: %w", err)
	}
	if err := remove(r.shared.Operations, gone); err != nil {
		return unfinished, err
	}
	if len(gone) > 0 {
		if err := r.shared.OperationCount.Put(uint32(0), kept); err != nil {
			return unfinished, fmt.Errorf("cannot count operations: %w", err)
		}
	}
	return unfinished, errors.Join(r.forgetContexts(target), r.forgetSteering(target))
}

func (r *Runtime) forgetContexts(target uint32) error {
	var key ContextKey
	var value SpanKey
	var gone []ContextKey
	keys := r.shared.Contexts.Iterate()
	for keys.Next(&key, &value) {
		if key.Target == target {
			gone = append(gone, key)
		}
	}
	if err := keys.Err(); err != nil {
		return fmt.Errorf("cannot list contexts: %w", err)
	}
	return remove(r.shared.Contexts, gone)
}

func remove[K any](m *ebpf.Map, keys []K) error {
	for _, k := range keys {
		if err := m.Delete(k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("cannot remove an entry of a map: %w", err)
		}
	}
	return nil
}
