package store

import (
	"context"
	"net/http"

	"github.com/twohop/twohop/sim/hop2/wire"
)

// Handler serves the store, as [wire.Handler] says: a batch that the database fails is answered with 503.
func (s *Store) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /batch", wire.Handler(func(_ context.Context, ops []wire.Op) ([]wire.Result, error) { return s.Do(ops) }))
	return mux
}
