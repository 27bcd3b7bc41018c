package sim

import (
	"crypto/rand"
	"encoding/binary"
	"io"
	mathrand "math/rand"
	randv2 "math/rand/v2"
	"sync"
	"testing"
	"testing/cryptotest"
)

// seedProcess makes the process-wide sources of randomness start afresh from a seed, as far as the
// standard library lets it: crypto/rand always; the top-level functions of math/rand if the main
// module's go.mod says "godebug randseednop=0", as ours does. Those of math/rand/v2 cannot be seeded.
func seedProcess(t *testing.T, seed uint64) {
	if testing.Testing() {
		cryptotest.SetGlobalRandom(t, seed)
	} else {
		rand.Reader = newSeededReader(seed) // cryptotest insists on a test binary
	}
	//lint:ignore SA1019 libraries draw from the global generator, and nothing else seeds it
	mathrand.Seed(int64(seed))
}

// seededReader stands in for the system's randomness.
type seededReader struct {
	mu     sync.Mutex
	source *randv2.ChaCha8
}

func newSeededReader(seed uint64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return &seededReader{source: randv2.NewChaCha8(key)}
}

// Read fills p; it never fails.
func (r *seededReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.source.Read(p)
}
