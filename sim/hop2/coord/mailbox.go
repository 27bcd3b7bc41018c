package coord

import (
	"sync"

	pb "go.etcd.io/raft/v3/raftpb"
)

// letter is one thing that reaches a node's loop: a peer's message, a client's request, that its client has
// gone, or a question for the statistics.
type letter struct {
	message *pb.Message
	ask     *ask
	gone    *ask
	stats   chan Stats // has room for the one answer
}

// mailbox collects letters from any goroutine, in order of arrival, for the one that takes them.
type mailbox struct {
	wake chan struct{} // has an element if letters came since the last take

	mu      sync.Mutex
	letters []letter
}

// put adds a letter. It does not block.
func (m *mailbox) put(l letter) {
	m.mu.Lock()
	m.letters = append(m.letters, l)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() []letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := m.letters
	m.letters = nil
	return taken
}
