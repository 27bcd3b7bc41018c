package source

import (
	"context"
	"net/http"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2/wire"
)

// Handler serves
//
//	POST /batch               operations on logs, as package wire says
//	GET  /deliver?edge=NAME   the stream of an edge: lines of JSON, each a [wire.Delivery]
//
// A stream begins with a sign of life; from then on everything that is appended to the edge's rooms comes on
// it. While the source does not know the assignment, streams are answered with 503. A new stream of an edge
// ends the one before.
func (s *Source) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /batch", wire.Handler(func(_ context.Context, ops []wire.Op) ([]wire.Result, error) { return s.Do(ops) }))
	mux.HandleFunc("GET /deliver", s.serveStream)
	return mux
}

func (s *Source) serveStream(w http.ResponseWriter, r *http.Request) {
	edge := r.URL.Query().Get("edge")
	if _, err := model.NewTransition(model.Placement{Kind: model.Modulo, Members: []string{edge}}); err != nil {
		http.Error(w, "edge: "+err.Error(), http.StatusBadRequest)
		return
	}
	st, ok := s.open(edge)
	if !ok {
		http.Error(w, "the assignment is not known yet", http.StatusServiceUnavailable)
		return
	}
	defer s.close(edge, st)
	rc := http.NewResponseController(w)
	send := func(line []byte) error {
		if _, err := w.Write(line); err != nil {
			return err
		}
		return rc.Flush()
	}
	beat := time.NewTicker(s.cfg.Heartbeat)
	defer beat.Stop()
	err := send([]byte(wire.SignOfLife))
	for err == nil {
		select {
		case line := <-st.lines:
			err = send(line)
		case <-beat.C:
			err = send([]byte(wire.SignOfLife))
		case <-st.over:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// open begins an edge's stream; false if it cannot be told what to send.
func (s *Source) open(edge string) (*stream, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.assignment == nil {
		return nil, false
	}
	if before := s.streams[edge]; before != nil {
		s.end(edge, before)
	}
	st := &stream{lines: make(chan []byte, s.cfg.Queue), over: make(chan struct{})}
	s.streams[edge] = st
	return st, true
}

func (s *Source) close(edge string, st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams[edge] == st {
		s.end(edge, st)
	}
}
