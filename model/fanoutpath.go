package model

import "time"

// FanoutMessage is a message that a transmitter sends in copies, as in [FanoutQueue].
type FanoutMessage struct {
	// At is when it is published.
	At time.Duration
	// Copies is how long the transmitter needs for all its copies together, and Rest for what it sends after them,
	// such as the publisher's answer.
	Copies, Rest time.Duration
}

// FanoutPath is what a [FanoutQueue] does to messages that are published at known moments: its closed form for a
// sample path instead of for the mean of all, so that a run can be held against it without any noise of sampling. The
// more work a message is, the later is every copy of it and of those that follow.
type FanoutPath struct {
	// Copies is how many copies of each message are sent, 1 or more.
	Copies int
	// Gather and Turn, unless Turn is 0, say that the publisher sends messages in batches: it waits Gather for others to
	// join the first of one, and while a batch is under way, messages wait for its answer, with which Turn passes until
	// the next batch may be at the transmitter. Of a batch, each receiver gets its copies at a stretch. If Turn is 0,
	// messages go their ways alone, and wait for nothing but the transmitter.
	Gather, Turn time.Duration
}

// Delays gives how long the copies of each message take on average through the queue and the transmitter, waits at the
// publisher included. The messages are in ascending order of At. Those that are not in batches follow Lindley's
// recursion; see [QueueWindow].
func (f FanoutPath) Delays(messages []FanoutMessage) []time.Duration {
	delays := make([]time.Duration, 0, len(messages))
	free := time.Duration(0) // when the transmitter has sent what it has
	for len(messages) > 0 {
		begin := max(free, messages[0].At)
		n := 1
		if f.Turn > 0 {
			begin = max(free, messages[0].At+f.Gather)
			for n < len(messages) && messages[n].At <= begin {
				n++
			}
		}
		batch := messages[:n]
		messages = messages[n:]
		copies, rest := time.Duration(0), time.Duration(0) // of the whole batch
		for _, m := range batch {
			copies, rest = copies+m.Copies, rest+m.Rest
		}
		// The i-th receiver's stretch begins when i shares of the batch have been sent.
		before := begin + copies*time.Duration(f.Copies-1)/time.Duration(2*f.Copies)
		for _, m := range batch {
			before += m.Copies / time.Duration(f.Copies)
			delays = append(delays, before-m.At)
		}
		free = begin + copies + rest + f.Turn
	}
	return delays
}
