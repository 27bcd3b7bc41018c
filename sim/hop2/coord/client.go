package coord

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// ErrUnavailable: no node answered as a leader until the context ended. What was asked for may have
// happened, or may yet.
var ErrUnavailable = errors.New("coordination service unavailable")

// ErrInvalid: the service refuses the request; nothing has happened.
var ErrInvalid = errors.New("invalid")

// ClientConfig configures a [Client]. Name and Nodes are needed.
type ClientConfig struct {
	// Name begins the IDs of the client's requests. It must be unique among clients, in all their lives.
	Name string
	// Nodes are the addresses at which the nodes serve clients, in order of ID.
	Nodes []string
	// Dial makes the connections. nil means the system's network.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Timeout bounds one attempt with one node. 0 means 1 s.
	Timeout time.Duration
	// Pause is how long to wait when no node would lead. 0 means 100 ms.
	Pause time.Duration
}

// Client is a client of the registry. Its methods try until they know, or until their context ends. They
// are for one goroutine; others need a client of their own.
type Client struct {
	cfg    ClientConfig
	http   *http.Client
	leader int // index of the node to try first
	count  uint64
}

// NewClient makes a client. The error names the field that is wrong.
func NewClient(cfg ClientConfig) (*Client, error) {
	if cfg.Name == "" || len(cfg.Name) > 100 {
		return nil, fmt.Errorf("coord: client: Name: it has %d bytes; want 1 to 100", len(cfg.Name))
	}
	if len(cfg.Nodes) == 0 {
		return nil, errors.New("coord: client: Nodes: there are none")
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{}).DialContext
	}
	for _, f := range []struct {
		name      string
		value     *time.Duration
		byDefault time.Duration
	}{{"Timeout", &cfg.Timeout, time.Second}, {"Pause", &cfg.Pause, 100 * time.Millisecond}} {
		if *f.value == 0 {
			*f.value = f.byDefault
		}
		if *f.value < time.Millisecond {
			return nil, fmt.Errorf("coord: client: %s: %v; want 0 (meaning %v), or 1ms or more", f.name, *f.value, f.byDefault)
		}
	}
	transport := &http.Transport{DialContext: cfg.Dial, DisableCompression: true}
	return &Client{cfg: cfg, http: &http.Client{Transport: transport}}, nil
}

// Close closes the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Get gives a key's item; false if there is none.
func (c *Client) Get(ctx context.Context, key string) (Item, bool, error) {
	r, err := c.do(ctx, Request{Op: opGet, Key: key})
	if err != nil || !r.Done {
		return Item{}, false, err
	}
	return r.Items[0], true, nil
}

// List gives the items whose keys begin with a prefix, in order, and the revision at which they were these.
func (c *Client) List(ctx context.Context, prefix string) ([]Item, uint64, error) {
	r, err := c.do(ctx, Request{Op: opList, Key: prefix})
	return r.Items, r.Revision, err
}

// Put writes a key, whatever it has. With a lease the key ends when that does.
func (c *Client) Put(ctx context.Context, key, value, lease string) (Item, error) {
	r, err := c.do(ctx, Request{Op: opPut, Key: key, Value: value, Lease: lease})
	if err != nil {
		return Item{}, err
	}
	return r.Items[0], nil
}

// CompareAndSwap writes a key if its version is the given one; 0 means that it is not there. It gives the
// present item, which is the new one if it was done, and the zero Item if there is none.
func (c *Client) CompareAndSwap(ctx context.Context, key string, version uint64, value string) (Item, bool, error) {
	r, err := c.do(ctx, Request{Op: opPut, Key: key, Value: value, If: &version})
	if err != nil || len(r.Items) == 0 {
		return Item{}, false, err
	}
	return r.Items[0], r.Done, nil
}

// Delete deletes a key, and tells whether it was there.
func (c *Client) Delete(ctx context.Context, key string) (bool, error) {
	r, err := c.do(ctx, Request{Op: opDelete, Key: key})
	return r.Done, err
}

// Grant grants a lease, or renews it.
func (c *Client) Grant(ctx context.Context, lease string, ttl time.Duration) error {
	_, err := c.do(ctx, Request{Op: opGrant, Lease: lease, TTL: ttl})
	return err
}

// Revoke ends a lease, and the keys that go with it.
func (c *Client) Revoke(ctx context.Context, lease string) error {
	_, err := c.do(ctx, Request{Op: opRevoke, Lease: lease})
	return err
}

// Watch waits until a key that begins with a prefix is changed after a revision, and gives all those keys'
// items then, and the revision to watch after next. Any node answers.
func (c *Client) Watch(ctx context.Context, prefix string, after uint64) ([]Item, uint64, error) {
	for ctx.Err() == nil {
		limit, cancel := context.WithTimeout(ctx, 10*c.cfg.Timeout)
		r, err := c.post(limit, c.leader, &Request{ID: c.nextID(), Op: opWatch, Key: prefix, After: after})
		cancel()
		if err == nil && r.Error == "" {
			return r.Items, r.Revision, nil
		}
		if err == nil {
			return nil, 0, fmt.Errorf("%w: %s", ErrInvalid, r.Error)
		}
		if !errors.Is(err, context.DeadlineExceeded) { // then there was nothing to tell, or nobody who could
			c.pause(ctx)
		}
		c.leader = (c.leader + 1) % len(c.cfg.Nodes)
	}
	return nil, 0, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
}

func (c *Client) nextID() string {
	c.count++
	return fmt.Sprintf("%s %d", c.cfg.Name, c.count)
}

// do asks until a leader answers. All attempts have the same ID.
func (c *Client) do(ctx context.Context, r Request) (Reply, error) {
	r.ID = c.nextID()
	var last error
	for tries := 1; ctx.Err() == nil; tries++ {
		limit, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
		reply, err := c.post(limit, c.leader, &r)
		cancel()
		switch {
		case err == nil && reply.Error == "":
			return reply, nil
		case err == nil && reply.Error != errNotLeader:
			return Reply{}, fmt.Errorf("%w: %s", ErrInvalid, reply.Error)
		case err == nil && reply.Leader > 0 && int(reply.Leader) <= len(c.cfg.Nodes):
			if next := int(reply.Leader) - 1; next != c.leader {
				c.leader = next
				if tries%len(c.cfg.Nodes) != 0 {
					continue // at once
				}
			}
			last = errors.New(errNotLeader)
		default:
			last = err
			if err == nil {
				last = errors.New("there is no leader")
			}
			c.leader = (c.leader + 1) % len(c.cfg.Nodes)
		}
		c.pause(ctx)
	}
	if last == nil {
		return Reply{}, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	return Reply{}, fmt.Errorf("%w: %w (%w)", ErrUnavailable, ctx.Err(), last)
}

func (c *Client) pause(ctx context.Context) {
	t := time.NewTimer(c.cfg.Pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// post makes one attempt with one node.
func (c *Client) post(ctx context.Context, node int, r *Request) (Reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.cfg.Nodes[node]+"/do", bytes.NewReader(encode(r)))
	if err != nil {
		return Reply{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return Reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxRecord))
	if err != nil {
		return Reply{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return Reply{}, fmt.Errorf("the node answered %d: %.200s", resp.StatusCode, bytes.TrimSpace(b))
	}
	return decodeReply(b, r)
}

// decodeReply reads a reply, and holds it to what was asked.
func decodeReply(b []byte, r *Request) (Reply, error) {
	var reply Reply
	if err := json.Unmarshal(b, &reply); err != nil {
		return Reply{}, fmt.Errorf("reply: %w", err)
	}
	for _, it := range reply.Items {
		if it.Version == 0 || it.Version > reply.Revision {
			return Reply{}, fmt.Errorf("reply: key %.80q has version %d at revision %d", it.Key, it.Version, reply.Revision)
		}
	}
	if reply.Error == "" && reply.Done && (r.Op == opGet || r.Op == opPut) && len(reply.Items) != 1 {
		return Reply{}, fmt.Errorf("reply: %d items to a %s", len(reply.Items), r.Op)
	}
	return reply, nil
}
