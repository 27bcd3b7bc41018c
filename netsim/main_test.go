package netsim

import (
	"flag"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
)

// TestMain gives the tests one processor, but for those of a real kernel: to hand over to another takes longer than
// what is then done there. The heap may grow to five times what is in use, which is little, before it is collected.
func TestMain(m *testing.M) {
	flag.Parse()
	live := flag.Lookup("live")
	if os.Getenv("GOMAXPROCS") == "" && (live == nil || live.Value.String() == "false") {
		runtime.GOMAXPROCS(1)
	}
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}
