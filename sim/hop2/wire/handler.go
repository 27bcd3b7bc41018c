package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Handler answers POST /batch by a function that does operations and gives their results in the same order. A
// batch that cannot be read is answered with 400 and a sentence, one that the function fails with 503.
func Handler(do func(context.Context, []Op) ([]Result, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBytes))
		if err != nil {
			http.Error(w, fmt.Sprintf("reading the batch: %v", err), http.StatusBadRequest)
			return
		}
		ops, err := DecodeBatch(b)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		results, err := do(r.Context(), ops)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(Results{Results: results}) // a client that is gone will ask again
	})
}
