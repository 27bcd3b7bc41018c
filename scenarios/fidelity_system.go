package scenarios

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/netsim/kernel"
	"github.com/twohop/twohop/sim"
)

// FidelitySystem is the workload of [Fidelity], built in a world.
type FidelitySystem struct {
	f    *Fidelity
	link netsim.Link

	mu      sync.Mutex
	left    int // connections that have not got everything yet
	fetches map[int][]kernel.Fetch
}

// Build adds the workload's nodes and links to a world.
//
// In the history, a connection is a room: its sender publishes the messages, which are in the room's log
// once Write has taken them, and its receiver is the client. A fetch is a room with one message, the
// response: the client publishes it by dialling, and gets it with its last byte.
func (f *Fidelity) Build(w *sim.World) *FidelitySystem {
	sys := &FidelitySystem{
		f:       f,
		link:    netsim.Link{Latency: f.Latency, Loss: f.Loss},
		left:    f.Runs + 2*f.Fetches,
		fetches: make(map[int][]kernel.Fetch),
	}
	if f.mutant == mutantSlowPath {
		sys.link.Latency += f.Latency / 5
	}
	w.Link("*", "*", sys.link)
	for i := range f.Runs {
		receiver, room := fmt.Sprintf("receiver-%d", i+1), fmt.Sprintf("run-%d", i+1)
		w.Node(receiver, func(ctx context.Context, n *sim.Node) error { return sys.receive(ctx, n, room) })
		w.Node(fmt.Sprintf("sender-%d", i+1), func(ctx context.Context, n *sim.Node) error { return sys.send(ctx, n, room, receiver) })
	}
	for _, kind := range []struct {
		name, text string
		size       int
	}{{"small", "200 B", kernel.SmallSize}, {"large", "1 MiB", kernel.LargeSize}} {
		for i := range f.Fetches {
			server, room := fmt.Sprintf("server-%s-%d", kind.name, i+1), fmt.Sprintf("%s-%d", kind.name, i+1)
			w.Node(server, serve)
			w.Node(fmt.Sprintf("client-%s-%d", kind.name, i+1), func(ctx context.Context, n *sim.Node) error {
				return sys.fetch(ctx, n, room, server, kind.size, f.label()+", "+kind.text)
			})
		}
	}
	return sys
}

// Done reports whether everything that is sent has arrived.
func (sys *FidelitySystem) Done() bool {
	sys.mu.Lock()
	defer sys.mu.Unlock()
	return sys.left == 0
}

// Fetches gives the fetches that are over of responses of so many bytes, in the order in which they ended.
func (sys *FidelitySystem) Fetches(size int) []kernel.Fetch {
	sys.mu.Lock()
	defer sys.mu.Unlock()
	return append([]kernel.Fetch(nil), sys.fetches[size]...)
}

func (sys *FidelitySystem) done(size int, fetched ...kernel.Fetch) {
	sys.mu.Lock()
	defer sys.mu.Unlock()
	sys.left--
	sys.fetches[size] = append(sys.fetches[size], fetched...)
}

// leastMessage is the size of a message's number, with which it begins.
const leastMessage = 8

// writeMessage fills a message of the given number: the number, and then bytes that depend on it, so that
// bytes which got lost, or out of place, show.
func writeMessage(p []byte, number uint64) {
	binary.BigEndian.PutUint64(p, number)
	for i := leastMessage; i < len(p); i++ {
		p[i] = byte(number*31 + uint64(i)*7)
	}
}

// readMessage checks a message and gives its number.
func readMessage(p, scratch []byte) (uint64, error) {
	number := binary.BigEndian.Uint64(p)
	writeMessage(scratch, number)
	if !bytes.Equal(p, scratch) {
		return 0, fmt.Errorf("a message that begins as number %d is not whole", number)
	}
	return number, nil
}

func messageID(number uint64) string { return fmt.Sprintf("m%d", number) }

// untilDone runs a program, and closes what it waits for when the run is over.
func untilDone(ctx context.Context, c io.Closer, program func() error) error {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // the program's error says what came of it
	defer stop()
	return program()
}

// send is a sender's program.
func (sys *FidelitySystem) send(ctx context.Context, n *sim.Node, room, receiver string) error {
	c, err := n.DialContext(ctx, "tcp", receiver+":1")
	if err != nil {
		return err
	}
	return untilDone(ctx, c, func() error {
		next := time.Now().Add(sys.f.Interval / 2)
		message := make([]byte, sys.f.Size)
		for number := uint64(1); number <= uint64(sys.f.Messages); number++ {
			// A Write that waits for the send buffer does not move the schedule of those after it.
			time.Sleep(time.Until(next))
			next = next.Add(sys.f.Interval)
			writeMessage(message, number)
			n.Record(model.Event{Kind: model.PublishCall, Room: room, ID: messageID(number)})
			if _, err := c.Write(message); err != nil {
				n.Record(model.Event{Kind: model.PublishUnknown, Room: room, ID: messageID(number), Note: err.Error()})
				return err
			}
			n.Record(model.Event{Kind: model.PublishOK, Room: room, ID: messageID(number), Seq: number})
		}
		<-ctx.Done() // to close it would abort what is still under way to a slow reader
		return nil
	})
}

// receive is a receiver's program. A message's position is how many have come, whatever its number.
func (sys *FidelitySystem) receive(ctx context.Context, n *sim.Node, room string) error {
	c, err := acceptOne(ctx, n)
	if err != nil {
		return err
	}
	n.Record(model.Event{Kind: model.Connected, Room: room, Transport: sys.f.label()})
	return untilDone(ctx, c, func() error {
		message, scratch := make([]byte, sys.f.Size), make([]byte, sys.f.Size)
		for seq := uint64(1); seq <= uint64(sys.f.Messages); seq++ {
			if _, err := io.ReadFull(c, message); err != nil {
				return err
			}
			number, err := readMessage(message, scratch)
			if err != nil {
				return err
			}
			n.Record(model.Event{Kind: model.Deliver, Room: room, Seq: seq, ID: messageID(number), Transport: sys.f.label()})
		}
		sys.done(0)
		<-ctx.Done()
		return nil
	})
}

// acceptOne listens until one connection has come.
func acceptOne(ctx context.Context, n *sim.Node) (c net.Conn, err error) {
	l, err := n.Listen("tcp", ":1")
	if err != nil {
		return nil, err
	}
	err = untilDone(ctx, l, func() error {
		if c, err = l.Accept(); err != nil {
			return err
		}
		return l.Close()
	})
	return c, err
}

// What HTTP adds to a fetch: about as many bytes as the request of Go's client and the response's header of
// Go's server have.
const (
	requestSize = 90
	headerSize  = 150
)

// serve answers one request, which says how many bytes the response shall have.
func serve(ctx context.Context, n *sim.Node) error {
	c, err := acceptOne(ctx, n)
	if err != nil {
		return err
	}
	return untilDone(ctx, c, func() error {
		request := make([]byte, requestSize)
		if _, err := io.ReadFull(c, request); err != nil {
			return err
		}
		size, err := readMessage(request, make([]byte, requestSize))
		if err != nil {
			return err
		}
		response := make([]byte, headerSize+size)
		writeMessage(response, size)
		if _, err := c.Write(response); err != nil {
			return err
		}
		return c.Close()
	})
}

// fetch is a fetching client's program.
func (sys *FidelitySystem) fetch(ctx context.Context, n *sim.Node, room, server string, size int, label string) error {
	const id = "response"
	began := time.Now()
	n.Record(model.Event{Kind: model.PublishCall, Room: room, ID: id})
	c, err := n.DialContext(ctx, "tcp", server+":1")
	if err != nil {
		return err
	}
	n.Record(model.Event{Kind: model.Connected, Room: room, Transport: label, Peer: server})
	return untilDone(ctx, c, func() error {
		fetched := kernel.Fetch{Connect: time.Since(began)}
		request := make([]byte, requestSize)
		writeMessage(request, uint64(size))
		if _, err := c.Write(request); err != nil {
			return err
		}
		response := make([]byte, headerSize+size)
		first, err := c.Read(response)
		if err != nil {
			return err
		}
		fetched.FirstByteFromDial = time.Since(began)
		fetched.FirstByte = fetched.FirstByteFromDial - fetched.Connect
		if _, err := io.ReadFull(c, response[first:]); err != nil {
			return err
		}
		fetched.Total = time.Since(began)
		if _, err := readMessage(response, make([]byte, len(response))); err != nil {
			return err
		}
		n.Record(model.Event{Kind: model.PublishOK, Room: room, ID: id, Seq: 1})
		n.Record(model.Event{Kind: model.Deliver, Room: room, Seq: 1, ID: id, Transport: label, Peer: server})
		sys.done(size, fetched)
		return c.Close()
	})
}
