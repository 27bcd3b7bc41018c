package tcp

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain lets the heap grow to five times what is in use, which is little, before it is collected.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}
