package store

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/twohop/twohop/sim/hop2/wire"
)

// Handler serves the store, as package wire says. A batch that cannot be read is answered with 400 and a
// sentence, one that the database fails with 503.
func (s *Store) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /batch", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxBytes))
		if err != nil {
			http.Error(w, fmt.Sprintf("reading the batch: %v", err), http.StatusBadRequest)
			return
		}
		ops, err := wire.DecodeBatch(b)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		results, err := s.Do(ops)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(wire.Results{Results: results}) // a client that is gone will ask again
	})
	return mux
}
