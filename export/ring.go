package export

// ring is a first-in first-out buffer that grows by doubling and is never shifted.
type ring struct {
	slots []item // length zero or a power of two
	first int    // slot of the oldest item
	count int
}

// push adds an item at the end.
func (r *ring) push(it item) {
	if r.count == len(r.slots) {
		r.grow()
	}
	r.slots[(r.first+r.count)&(len(r.slots)-1)] = it
	r.count++
}

// pop moves up to n of the oldest items to the end of batch.
func (r *ring) pop(batch []item, n int) []item {
	for range min(n, r.count) {
		slot := &r.slots[r.first]
		batch = append(batch, *slot)
		*slot = item{} // lets go of the span
		r.first = (r.first + 1) & (len(r.slots) - 1)
		r.count--
	}
	return batch
}

func (r *ring) grow() {
	const initial = 64
	slots := make([]item, max(initial, 2*len(r.slots)))
	n := copy(slots, r.slots[r.first:])
	copy(slots[n:], r.slots[:r.first])
	r.slots, r.first = slots, 0
}
