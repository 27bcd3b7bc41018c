package hop2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats-server/v2/server/ats"
)

// JetStream keeps a clock for the process, with a goroutine that belongs to whoever started it first. That
// must not be a bubble.
func init() { ats.Register() }

// NATSStore is what a NATS server keeps on its disk: JetStream's streams with file storage, and nothing
// of core NATS. It outlives the server. A restart with the same store keeps every message that was
// acknowledged, one with a new store loses all; streams with memory storage are lost in any case.
type NATSStore struct {
	dir    string
	served atomic.Bool
	lost   atomic.Bool // and is empty when it is next served
}

// NewNATSStore makes a store in a folder, which must exist. "" means that there is no disk: the server has
// no JetStream.
func NewNATSStore(dir string) *NATSStore { return &NATSStore{dir: dir} }

// natsPayload is the greatest size of a message that the server takes: that of the largest body in base64,
// and some. A server's own default, 1 MiB, would do for bodies of 750 kB.
const natsPayload = 2 << 20

// Lose empties the store; a broker that serves it now still has what it has. It reports whether there was
// anything in it.
func (s *NATSStore) Lose() (lost bool) { return loseFolder(s.dir, &s.lost) }

// ServeNATS is a NATS server: it serves the connections that l accepts until ctx ends or l fails. It then
// closes l and every connection, and returns ctx's error or l's when everything that it started has ended.
// A store is served by one server at a time.
//
// The server is nats-server itself, embedded. To its clients the end is a crash: connections end without a
// word. To its store it is a shutdown, as if every write had been synced.
func ServeNATS(ctx context.Context, l net.Listener, store *NATSStore) error {
	if !store.served.CompareAndSwap(false, true) {
		return errors.Join(errors.New("hop2: the NATS store is being served already"), l.Close())
	}
	defer store.served.Store(false)
	if _, err := emptyFolder(store.dir, &store.lost); err != nil {
		return errors.Join(fmt.Errorf("hop2: empty the NATS store: %w", err), l.Close())
	}
	s, err := startNATS(store)
	if err != nil {
		return errors.Join(fmt.Errorf("hop2: start NATS: %w", err), l.Close())
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() }) // which ends accept; no one else has use for the error
	defer stop()
	b := &natsBroker{server: s, ordered: store.dir != ""}
	err = b.accept(ctx, l)
	b.close()
	return err
}

// startNATS starts a server that listens nowhere.
func startNATS(store *NATSStore) (*server.Server, error) {
	opts := &server.Options{
		ServerName: "broker", DontListen: true, NoSigs: true, NoLog: true, DisableShortFirstPing: true,
		NoSystemAccount: store.dir == "", JetStream: store.dir != "", StoreDir: store.dir,
		JetStreamMaxMemory: 1 << 30, JetStreamMaxStore: 1 << 40, MaxPayload: natsPayload,
	}
	if store.dir != "" {
		if info, err := os.Stat(store.dir); err != nil || !info.IsDir() {
			return nil, errors.Join(fmt.Errorf("store %q is no folder", store.dir), err)
		}
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, err
	}
	s.Start()
	if !s.ReadyForConnections(10*time.Second) || store.dir != "" && !s.JetStreamEnabled() {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, errors.New("the server does not become ready")
	}
	return s, nil
}

// natsBroker is one life of a server.
type natsBroker struct {
	server  *server.Server
	ordered bool // see carryInOrder and carryApart
	tasks   sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn // in order of acceptance
}

func (b *natsBroker) accept(ctx context.Context, l net.Listener) error {
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close() // it came too late
			}
			return ctx.Err()
		}
		if err != nil {
			return errors.Join(err, l.Close())
		}
		inner, err := b.server.InProcessConn()
		if err != nil {
			return errors.Join(err, conn.Close(), l.Close())
		}
		b.mu.Lock()
		b.conns = append(b.conns, conn)
		delay := apartDelay + time.Duration(len(b.conns))
		b.mu.Unlock()
		b.bridge(conn, inner, delay)
	}
}

// bridge carries bytes between a client's connection and the server's end of it. When either ends, both
// do: their errors have nobody to tell.
func (b *natsBroker) bridge(conn, inner net.Conn, delay time.Duration) {
	carry := func(copy func()) {
		copy()
		_ = conn.Close()
		_ = inner.Close()
	}
	if b.ordered {
		b.tasks.Go(func() { carry(func() { _ = carryApart(inner, conn, delay) }) })
		b.tasks.Go(func() { carry(func() { _ = carryInOrder(conn, inner) }) })
		return
	}
	b.tasks.Go(func() { carry(func() { _, _ = io.Copy(inner, conn) }) })
	b.tasks.Go(func() { carry(func() { _, _ = io.Copy(conn, inner) }) })
}

// close closes the connections, in order, and waits for all that the server started.
func (b *natsBroker) close() {
	b.mu.Lock()
	for _, c := range b.conns {
		_ = c.Close() // it is a crash: nobody is left to be told
	}
	b.mu.Unlock()
	b.server.Shutdown()
	b.server.WaitForShutdown()
	b.tasks.Wait()
}
