package netsim

// stopHeap is a binary heap of stops, the earliest first.
type stopHeap struct{ heap []stop }

func (s *stopHeap) len() int    { return len(s.heap) }
func (s *stopHeap) peek() *stop { return &s.heap[0] }

func (s *stopHeap) push(v stop) {
	s.heap = append(s.heap, v)
	h := s.heap
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].by <= v.by {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = v
}

func (s *stopHeap) pop() {
	h := s.heap
	last := h[len(h)-1]
	h = h[:len(h)-1]
	s.heap = h
	if len(h) == 0 {
		return
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].by < h[child].by {
			child++
		}
		if h[child].by >= last.by {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = last
}
