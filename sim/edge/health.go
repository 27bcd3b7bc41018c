package edge

import (
	"io"
	"net/http"

	"github.com/twohop/twohop/sim/hop1"
)

// serveHealth answers GET /health, so that a balancer sends nobody to a server that drains. Whether hop 2 is
// to be reached has no say: a balancer that took out every server for that would only make it worse.
func (s *Server) serveHealth(w http.ResponseWriter, _ *http.Request) {
	if s.alive.Err() != nil {
		http.Error(w, hop1.ErrDraining.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n") // a checker that has left will call again
}
