package netsim

import "math/rand/v2"

// NewRand returns a generator of its own for one purpose of one run: a link direction, a fault, a
// client. The same seed and name always give the same draws, whatever else the run contains, so
// that adding a host never shifts another host's luck.
func NewRand(seed uint64, name string) *rand.Rand {
	return rand.New(newPCG(seed, name))
}

func newPCG(seed uint64, name string) *rand.PCG {
	// FNV-1a over the name, then two rounds of SplitMix64 to spread seeds that differ in one bit.
	h := uint64(14695981039346656037)
	for i := 0; i < len(name); i++ {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return rand.NewPCG(splitMix(seed^h), splitMix(seed+h))
}

func splitMix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
