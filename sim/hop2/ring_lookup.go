package hop2

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2/coord"
)

// Lookup tells clients which edge a room belongs to, so that they need not be redirected: a central service,
// which can be a bottleneck. Start it with [NewLookup].
type Lookup struct {
	coord   *coord.Client
	service time.Duration
	turn    chan struct{} // holds an element while nobody is served, if service is not 0

	mu    sync.Mutex // never held while waiting
	items []coord.Item
	view  ringView
	asked int
}

// NewLookup makes a lookup with a client of the coordination service. It is busy with each request for service,
// and answers one at a time; 0 means no time at all.
func NewLookup(c *coord.Client, service time.Duration) (*Lookup, error) {
	if c == nil || service < 0 {
		return nil, fmt.Errorf("hop2: lookup: service %v; want a client, and 0 or more", service)
	}
	l := &Lookup{coord: c, service: service, turn: make(chan struct{}, 1)}
	l.turn <- struct{}{}
	return l, nil
}

// Run follows the assignment until ctx ends.
func (l *Lookup) Run(ctx context.Context) error {
	for after := uint64(0); ; {
		items, revision, err := l.coord.Watch(ctx, ringPrefix, after)
		if err != nil {
			return err
		}
		after = revision
		view, err := readView(items)
		if err != nil {
			return err
		}
		l.mu.Lock()
		l.items, l.view = items, view
		l.mu.Unlock()
	}
}

// Asked is how many requests there were.
func (l *Lookup) Asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// Handler serves
//
//	GET /owner/{room}   the URL of the edge that serves the room's clients, as text
//	GET /ring           all that there is to know: a JSON array of [coord.Item]
//
// While that is not known, the answer is 503.
func (l *Lookup) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /owner/{room}", func(w http.ResponseWriter, r *http.Request) {
		_, view := l.serve()
		owner, known := view.home(r.PathValue("room"))
		if to := view.edges[owner]; known && to != "" {
			_, _ = io.WriteString(w, to) // a client that is gone will ask again
			return
		}
		http.Error(w, "the room's owner is not known, or not there", http.StatusServiceUnavailable)
	})
	mux.HandleFunc("GET /ring", func(w http.ResponseWriter, r *http.Request) {
		items, view := l.serve()
		if view.assignment == nil {
			http.Error(w, "the assignment is not known", http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(items) // as above
	})
	return mux
}

// serve takes the time that a request takes, and gives what is known after that.
func (l *Lookup) serve() ([]coord.Item, ringView) {
	if l.service > 0 {
		<-l.turn
		time.Sleep(l.service)
		l.turn <- struct{}{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	return l.items, l.view
}

// Locator is an [http.RoundTripper] that sends a client's GET /rooms/{room}/… to the edge that serves the room,
// whatever host it names; all else goes where it should. It asks a [Lookup] each time or, if it keeps what it
// knows, for the whole mapping once, and again when an edge has refused or redirected it.
type Locator struct {
	// Base is the transport that makes the connections, to the lookup too. nil means http.DefaultTransport.
	Base http.RoundTripper
	// Lookup is where the lookup is, such as "http://lookup".
	Lookup string
	// Keep says to keep the mapping.
	Keep bool

	mu   sync.Mutex // never held while waiting
	view *ringView  // what is kept; nil if nothing is
}

// RoundTrip implements [http.RoundTripper].
func (l *Locator) RoundTrip(req *http.Request) (*http.Response, error) {
	rest, ok := strings.CutPrefix(req.URL.Path, "/rooms/")
	room, _, reads := strings.Cut(rest, "/")
	if !ok || !reads || req.Method != http.MethodGet || model.CheckRoom(room) != nil {
		return l.base().RoundTrip(req)
	}
	to, err := l.find(req.Context(), room)
	if err != nil {
		return nil, fmt.Errorf("looking up room %s: %w", room, err)
	}
	out := req.Clone(req.Context())
	out.URL.Scheme, out.URL.Host, out.Host = to.Scheme, to.Host, to.Host
	resp, err := l.base().RoundTrip(out)
	if err != nil || resp.StatusCode >= 300 {
		l.mu.Lock()
		l.view = nil // it may be out of date
		l.mu.Unlock()
	}
	return resp, err
}

func (l *Locator) base() http.RoundTripper {
	if l.Base == nil {
		return http.DefaultTransport
	}
	return l.Base
}

// find gives the URL of a room's edge.
func (l *Locator) find(ctx context.Context, room string) (*url.URL, error) {
	if !l.Keep {
		text, err := l.get(ctx, "/owner/"+room)
		if err != nil {
			return nil, err
		}
		return parseEdge(string(text))
	}
	l.mu.Lock()
	view := l.view
	l.mu.Unlock()
	if view == nil {
		b, err := l.get(ctx, "/ring")
		if err != nil {
			return nil, err
		}
		fresh, err := decodeRing(b)
		if err != nil {
			return nil, err
		}
		view = &fresh
		l.mu.Lock()
		l.view = view
		l.mu.Unlock()
	}
	owner, _ := view.home(room)
	return parseEdge(view.edges[owner])
}

// decodeRing reads the whole mapping.
func decodeRing(b []byte) (ringView, error) {
	var items []coord.Item
	if err := json.Unmarshal(b, &items); err != nil {
		return ringView{}, fmt.Errorf("the mapping: %w", err)
	}
	v, err := readView(items)
	if err == nil && v.assignment == nil {
		err = errors.New("the mapping has no assignment")
	}
	return v, err
}

func parseEdge(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err == nil && (u.Scheme == "" || u.Host == "") {
		err = fmt.Errorf("%.80q is no edge's URL", text)
	}
	return u, err
}

// get asks the lookup.
func (l *Locator) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.Lookup+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := l.base().RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the lookup answered %d: %.200s", resp.StatusCode, bytes.TrimSpace(b))
	}
	return b, err
}
