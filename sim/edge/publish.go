package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
)

// servePublish answers POST /rooms/{room}/messages.
func (s *Server) servePublish(w http.ResponseWriter, r *http.Request) {
	if !s.begin() {
		// Without this the publisher would come back over the same connection, to the same server.
		w.Header().Set("Connection", "close")
		s.tryLater(w, hop1.ErrDraining)
		return
	}
	defer s.tasks.Done()
	m, err := s.readMessage(w, r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.PublishTimeout)
	defer cancel()
	at, err := s.publish(ctx, m)
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "application/json")
		// If it cannot be written the publisher is gone; it will ask again, with the same ID.
		_ = json.NewEncoder(w).Encode(hop1.PublishReply{Cursor: at.String()})
	case errors.Is(err, hop2.ErrInvalid):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case errors.Is(err, hop2.ErrUnavailable), errors.Is(err, hop2.ErrClosed), ctx.Err() != nil:
		s.tryLater(w, err)
	default:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// publish puts a message into the log.
func (s *Server) publish(ctx context.Context, m model.Message) (model.Cursor, error) {
	at, err := s.cfg.Strategy.Publish(ctx, m)
	if err == nil {
		m.Seq = at.Seq
		s.observe(model.Append, m.Room, at.Epoch, "", []model.Message{m})
	}
	return at, err
}

// publishOver publishes for a client that is connected.
func (s *Server) publishOver(ctx context.Context, m model.Message) (model.Cursor, error) {
	if err := s.checkRoom(m.Room); err != nil {
		return model.Cursor{}, fmt.Errorf("%w: %w", hop1.ErrRejected, err)
	}
	if !s.begin() {
		return model.Cursor{}, hop1.ErrDraining
	}
	defer s.tasks.Done()
	ctx, cancel := context.WithTimeout(ctx, s.cfg.PublishTimeout)
	defer cancel()
	at, err := s.publish(ctx, m)
	if errors.Is(err, hop2.ErrInvalid) {
		err = fmt.Errorf("%w: %w", hop1.ErrRejected, err)
	}
	return at, err
}

// tryLater answers 503, with the configured retry hint in whole seconds, one at least.
func (s *Server) tryLater(w http.ResponseWriter, err error) {
	seconds := max(1, (s.cfg.RetryHint+time.Second-1)/time.Second)
	w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
	http.Error(w, err.Error(), http.StatusServiceUnavailable)
}

// readMessage reads the request. A publisher that does not get its request across in PublishTimeout
// must not hold up a draining server.
func (s *Server) readMessage(w http.ResponseWriter, r *http.Request) (model.Message, error) {
	room := r.PathValue("room")
	if err := s.checkRoom(room); err != nil {
		return model.Message{}, err
	}
	rc := http.NewResponseController(w)
	if err := setReadDeadline(rc, time.Now().Add(s.cfg.PublishTimeout)); err != nil {
		return model.Message{}, err
	}
	// In base64 a body has 4/3 of its size, and some JSON encoders escape its slashes.
	limit := int64(2*s.cfg.MaxBody + 4096)
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		// The deadline stays: net/http will try to read the rest of the request.
		w.Header().Set("Connection", "close")
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			err = fmt.Errorf("it has more than %d bytes; allowed are %d in its body", limit, s.cfg.MaxBody)
		}
		return model.Message{}, fmt.Errorf("reading the request: %w", err)
	}
	if err := setReadDeadline(rc, time.Time{}); err != nil {
		return model.Message{}, err
	}
	return decodeMessage(room, b, s.cfg.MaxBody)
}

// setReadDeadline does nothing where there is no connection, as in a test's recorder.
func setReadDeadline(rc *http.ResponseController, t time.Time) error {
	if err := rc.SetReadDeadline(t); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// decodeMessage reads a PublishRequest. An unknown field is an error: ignored, a misspelt one would
// publish something else than was meant.
func decodeMessage(room string, b []byte, maxBody int) (model.Message, error) {
	var req hop1.PublishRequest
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&req); err != nil {
		return model.Message{}, fmt.Errorf("the request is not what it should be, "+
			`{"id": …, "publisher": …, "body": base64}: %w`, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return model.Message{}, errors.New("the request has something after its JSON object")
	}
	if len(req.Body) > maxBody {
		return model.Message{}, fmt.Errorf("body: it has %d bytes; allowed are %d", len(req.Body), maxBody)
	}
	m := model.Message{Room: room, ID: req.ID, Publisher: req.Publisher, Body: req.Body}
	return m, model.CheckMessage(m)
}
