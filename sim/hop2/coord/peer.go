package coord

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// peerQueue is how many messages wait for a peer. More are dropped: raft sends again what matters.
const peerQueue = 256

// peer sends messages to another node, over a connection that it keeps. It is one goroutine.
type peer struct {
	addr  string
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	queue chan []byte
	limit time.Duration // for one dial or write
	pause time.Duration // between attempts to connect
}

// send queues a message. It does not block.
func (p *peer) send(m *pb.Message) error {
	payload, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	frame := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(payload)), uint32(len(payload)))
	select {
	case p.queue <- append(frame, payload...):
	default:
	}
	return nil
}

// run sends until ctx ends.
func (p *peer) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := p.session(ctx); err != nil {
			select {
			case <-time.After(p.pause):
			case <-ctx.Done():
			}
		}
	}
}

// session is one connection.
func (p *peer) session(ctx context.Context) error {
	dialing, cancel := context.WithTimeout(ctx, p.limit)
	conn, err := p.dial(dialing, "tcp", p.addr)
	cancel()
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // which ends a write
	for {
		select {
		case frame := <-p.queue:
			if err := conn.SetWriteDeadline(time.Now().Add(p.limit)); err != nil {
				return err
			}
			if _, err := conn.Write(frame); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// readMessage reads the next message of a peer.
func readMessage(r io.Reader) (*pb.Message, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxRecord {
		return nil, fmt.Errorf("coord: a message of %d bytes; want at most %d", n, maxRecord)
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(n))) // grows with what comes, not with what is claimed
	if err == nil && len(b) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	m := &pb.Message{}
	if err := proto.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("coord: a peer's message: %w", err)
	}
	return m, nil
}
