package coord

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxRequest is the greatest size of a request, in bytes: a value in JSON, escaped at the worst.
const maxRequest = 8 << 20

func encode(r *Request) []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("coord: a request of strings and numbers does not marshal: %v", err))
	}
	return b
}

func decodeRequest(b []byte) (*Request, error) {
	r := &Request{}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(r); err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("request: there is something after the JSON value")
	}
	return r, nil
}

// handler serves clients:
//
//	POST /do   a Request, answered with 200 and a Reply
//
// A watch is answered when there is something new; all else as soon as it is done, or not at all.
func (n *Node) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /do", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
		var req *Request
		if err == nil {
			req, err = decodeRequest(b)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a := &ask{Request: *req, answer: make(chan Reply, 1)}
		n.mail.put(letter{ask: a})
		select {
		case reply := <-a.answer:
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(reply) // a client that is gone will ask again
		case <-r.Context().Done():
			n.mail.put(letter{gone: a})
		}
	})
	return mux
}

// Stats gives a snapshot. It needs Run to be running, and fails with ctx's error.
func (n *Node) Stats(ctx context.Context) (Stats, error) {
	answer := make(chan Stats, 1)
	n.mail.put(letter{stats: answer})
	select {
	case s := <-answer:
		return s, nil
	case <-ctx.Done():
		return Stats{}, ctx.Err()
	}
}
