package hop1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/webrtc/v4"
)

// ChannelConfig says how a data channel delivers (RFC 8831 §6.1). The zero value is reliable and ordered.
// Both ends of a pair name the same channels; how they deliver is for the one that offers to say.
type ChannelConfig struct {
	// Label is the channel's name, which no other channel of the pair has. It may be empty.
	Label string
	// Unordered lets messages overtake each other.
	Unordered bool
	// Unreliable gives a message up after its retransmissions, of which there are at most Retransmits: 0
	// means that it is sent once.
	Unreliable  bool
	Retransmits uint16
}

// init leaves it to a message to open the channel (RFC 8832): pion does not apply how a channel is to deliver
// if both ends have agreed on that beforehand.
func (c *ChannelConfig) init() *webrtc.DataChannelInit {
	ordered := !c.Unordered
	i := &webrtc.DataChannelInit{Ordered: &ordered}
	if c.Unreliable {
		i.MaxRetransmits = &c.Retransmits
	}
	return i
}

func checkLabels(channels []ChannelConfig) error {
	if len(channels) == 0 {
		return fieldError("channels", "none", "at least one")
	}
	seen := make(map[string]bool)
	for _, c := range channels {
		if seen[c.Label] {
			return fieldError("Label", fmt.Sprintf("%.40q twice", c.Label), "another for each channel")
		}
		seen[c.Label] = true
	}
	return nil
}

// channelBuffer is how many bytes may be on their way, unacknowledged, for a message to be accepted. It is
// the bounded queue of a channel, as the send buffer is of a TCP connection, which has a similar size.
const channelBuffer = 64 << 10

// Channel is an open data channel. One goroutine sends, and one receives.
type Channel struct {
	dc   *webrtc.DataChannel
	raw  datachannel.ReadWriteCloserDeadliner
	pair *Pair
	low  chan struct{} // what is buffered has become little
	most int           // bytes of the largest message to accept
	buf  []byte
}

// errPairBroken is the error of channels whose pair is closed or has failed.
var errPairBroken = errors.New("the peer connection is closed or has failed")

// Send sends one message as soon as no more than 64 KiB wait for the peer's acknowledgement, for which it
// waits until ctx ends. Empty messages are allowed.
func (c *Channel) Send(ctx context.Context, message []byte, text bool) error {
	if err := c.await(ctx, channelBuffer); err != nil {
		return err
	}
	if text {
		return c.dc.SendText(string(message))
	}
	return c.dc.Send(message)
}

// Flush waits until the peer has acknowledged everything, or ctx ends. Nothing can be sent after it.
func (c *Channel) Flush(ctx context.Context) error {
	c.dc.SetBufferedAmountLowThreshold(0)
	return c.await(ctx, 0)
}

// await waits until no more than that is buffered.
func (c *Channel) await(ctx context.Context, most uint64) error {
	for c.dc.BufferedAmount() > most {
		select {
		case <-c.low:
		case <-c.pair.broken:
			return errPairBroken
		case <-ctx.Done():
			return fmt.Errorf("%d bytes are not acknowledged: %w", c.dc.BufferedAmount(), ctx.Err())
		}
	}
	return nil
}

// Buffered is how many bytes were sent and not yet acknowledged.
func (c *Channel) Buffered() int { return int(c.dc.BufferedAmount()) }

// receiveNoMore has Receive give what has arrived, and then fail, whatever becomes of the pair.
func (c *Channel) receiveNoMore() {
	_ = c.raw.SetReadDeadline(time.Now()) // never fails
}

// leastBuffer is where a channel's receive buffer starts to grow from, in bytes.
const leastBuffer = 2048

// Receive waits for a message. Both ends must receive, even if nothing is sent: only so do they learn that the
// channel is open at both, which is when messages begin to be unordered or unreliable. It gives a message, which is valid until the next call. It fails when the pair is closed or the
// peer leaves, and when a message is larger than [WebRTC].MaxMessage.
func (c *Channel) Receive() (message []byte, text bool, err error) {
	if c.buf == nil {
		c.buf = make([]byte, min(leastBuffer, c.most))
	}
	for {
		n, text, err := c.raw.ReadDataChannel(c.buf)
		switch {
		case err == nil:
			return c.buf[:n], text, nil
		case !errors.Is(err, io.ErrShortBuffer):
			return nil, false, err
		case len(c.buf) >= c.most:
			return nil, false, fmt.Errorf("protocol: a message of more than %d bytes", c.most)
		}
		c.buf = make([]byte, min(2*len(c.buf), c.most)) // the message is still there
	}
}
