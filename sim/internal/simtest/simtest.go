package simtest

import (
	"log"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// Main runs a package's tests, and gives the status to exit with: not 0 either if a goroutine is left in
// whose stack one of the marks stands, such as the path of a package. Bubbles check theirs themselves.
//
// They have one processor, unless GOMAXPROCS or -cpu says something else, or the race detector is on, which is when
// it matters who runs beside whom.
func Main(m *testing.M, marks ...string) int {
	if !race && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1) // handing over to another processor takes longer than what is then done there
	}
	debug.SetGCPercent(gcPercent)
	code := m.Run()
	if code != 0 {
		return code
	}
	var left []string
	for range 200 { // what is about to end may have a moment of real time to do so
		if left = marked(marks); len(left) == 0 {
			return 0
		}
		time.Sleep(10 * time.Millisecond)
	}
	log.Printf("leaked goroutines:\n%s", strings.Join(left, "\n\n"))
	return 1
}

// Quick reports whether what waits in real time, on real sockets, is to be left out: with -short, unless the race
// detector is on, since there it finds most.
func Quick() bool { return testing.Short() && !race }

// gcPercent lets the heap grow to five times what is in use, a few dozen megabytes, before it is collected.
const gcPercent = 400

// marked gives the stacks of the goroutines but this one that have a mark.
func marked(marks []string) []string {
	buf := make([]byte, 1<<20)
	stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	var left []string
	for _, g := range stacks[1:] { // the first is the one that asks
		for _, mark := range marks {
			if strings.Contains(g, mark) {
				left = append(left, g)
				break
			}
		}
	}
	return left
}

// UpTo gives the sequence numbers from..to.
func UpTo(from, to uint64) []uint64 {
	var seqs []uint64
	for s := from; s <= to; s++ {
		seqs = append(seqs, s)
	}
	return seqs
}
