package hop2

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2/coord"
)

// Redirect puts itself before an edge's handler: whoever wants to read a room of another edge, by
// GET /rooms/{room}/…, is sent there with 307. All else goes through. While it is not known whose a room is,
// the answer is 503. If the edge's handler has a method Configure(*http.Server), so has what is returned.
func (r *Ring) Redirect(next http.Handler) http.Handler {
	h := r.redirect(next)
	if c, ok := next.(configurer); ok {
		return struct {
			http.Handler
			configurer
		}{h, c}
	}
	return h
}

// configurer is a handler that knows how its server is to be set up.
type configurer interface{ Configure(*http.Server) }

func (r *Ring) redirect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		rest, ok := strings.CutPrefix(req.URL.Path, "/rooms/")
		room, _, reads := strings.Cut(rest, "/")
		if !ok || !reads || req.Method != http.MethodGet || model.CheckRoom(room) != nil {
			next.ServeHTTP(w, req)
			return
		}
		r.mu.Lock()
		owner, known := r.view.home(room)
		to := r.view.edges[owner]
		if known && owner != r.cfg.Name && to != "" {
			r.stats.Redirects++
		}
		r.mu.Unlock()
		switch {
		case !known, owner != r.cfg.Name && to == "": // the owner is dead, and will be replaced
			w.Header().Set("Retry-After", "1")
			w.Header().Set("Connection", "close") // so that the client may come to another edge
			http.Error(w, fmt.Sprintf("room %s: its owner is not known, or not there", room), http.StatusServiceUnavailable)
		case owner != r.cfg.Name:
			http.Redirect(w, req, to+req.URL.RequestURI(), http.StatusTemporaryRedirect)
		default:
			next.ServeHTTP(w, req)
		}
	})
}

// Leave tells the others that this edge wants to go, and waits until it owns nothing, or ctx ends. Close
// follows.
func (r *Ring) Leave(ctx context.Context) error {
	c, err := coord.NewClient(coord.ClientConfig{
		Name: r.cfg.Name + "/" + r.cfg.Life + "/leave", Nodes: r.cfg.Coordinators, Dial: r.cfg.Dial, Timeout: r.cfg.Timeout,
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Put(ctx, RingLeaving+r.cfg.Name, "", r.cfg.Name+"/"+r.cfg.Life); err != nil {
		return fmt.Errorf("hop2 ring: leave: %w", err)
	}
	for {
		r.mu.Lock()
		view, changed := r.view, r.changed
		r.mu.Unlock()
		if a := view.assignment; a != nil && !a.Transition().Moving() && !owns(a.Transition().Old, r.cfg.Name) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("hop2 ring: leave: rooms are still here: %w", ctx.Err())
		}
	}
}

func owns(p model.Placement, member string) bool {
	for _, m := range p.Members {
		if m == member {
			return true
		}
	}
	return false
}
