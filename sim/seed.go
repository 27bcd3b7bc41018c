package sim

import (
	"crypto/rand"
	"encoding/binary"
	mathrand "math/rand"
	randv2 "math/rand/v2"
	"sync"
	"testing"
	"testing/cryptotest"
	"time"
)

// seedProcess makes the process-wide sources of randomness start afresh from a seed, as far as the
// standard library lets it: crypto/rand always; the top-level functions of math/rand if the main
// module's go.mod says "godebug randseednop=0", as ours does. Those of math/rand/v2 cannot be seeded.
func seedProcess(t *testing.T, seed uint64) {
	if testing.Testing() { // cryptotest insists on a test binary; what it seeds besides crypto/rand are keys and nonces
		cryptotest.SetGlobalRandom(t, seed)
	}
	rand.Reader = newInstantReader(seed)
	//lint:ignore SA1019 libraries draw from the global generator, and nothing else seeds it
	mathrand.Seed(int64(seed))
}

// instantReader stands in for the system's randomness, with a generator for each instant of virtual time. All
// libraries share it, and some draw for the process and not for the run: kfake keeps a pool of random bytes, so that
// whether a run draws depends on the runs before. None can shift the luck of another that draws at another instant.
type instantReader struct {
	seed uint64

	mu     sync.Mutex
	at     time.Time // the instant that source is of
	source *randv2.ChaCha8
}

func newInstantReader(seed uint64) *instantReader {
	return &instantReader{seed: seed, source: randv2.NewChaCha8([32]byte{})}
}

// Read fills p; it never fails.
func (r *instantReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); !now.Equal(r.at) {
		r.at = now
		var key [32]byte
		binary.LittleEndian.PutUint64(key[:], r.seed)
		binary.LittleEndian.PutUint64(key[8:], uint64(now.UnixNano()))
		r.source.Seed(key)
	}
	return r.source.Read(p)
}
