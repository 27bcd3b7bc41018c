package sim

import (
	"fmt"
	"runtime"
	"strings"
)

// goroutine is one of a dump of stacks.
type goroutine struct {
	state  string   // as in "chan receive (durable)"
	stack  []string // function names, the innermost first
	origin string   // the function that started it
}

func (g goroutine) String() string {
	where := "?"
	for _, f := range g.stack {
		where = f
		if !strings.HasPrefix(f, "runtime.") && !strings.HasPrefix(f, "internal/") && !strings.HasPrefix(f, "sync.") && !strings.HasPrefix(f, "time.") {
			break
		}
	}
	if g.origin == "" {
		return fmt.Sprintf("%s in %s", g.state, where)
	}
	return fmt.Sprintf("%s in %s, started by %s", g.state, where, g.origin)
}

// bubbleGoroutines names the goroutines of the caller's bubble, except the caller's own and those
// that package testing needs.
func bubbleGoroutines() []string {
	var names []string
	for _, g := range goroutinesOf(bubbleID()) {
		if !g.harness() {
			names = append(names, g.String())
		}
	}
	return names
}

// awake names those that keep virtual time from passing.
func awake(all []goroutine) []string {
	var names []string
	for _, g := range all {
		if !strings.Contains(g.state, "(durable)") && !strings.HasPrefix(g.state, "synctest.") {
			names = append(names, g.String())
		}
	}
	return names
}

// harness reports whether the goroutine is the world's own or one of package testing's.
func (g *goroutine) harness() bool {
	for _, f := range g.stack {
		if strings.HasSuffix(f, "sim.(*World).end") || strings.HasPrefix(f, "testing/synctest.Test") || strings.HasPrefix(f, "internal/synctest.Run") {
			return true
		}
	}
	return false
}

// bubbleID is the bubble of the calling goroutine, as in "synctest bubble 3".
func bubbleID() string {
	buf := make([]byte, 256)
	header, _, _ := strings.Cut(string(buf[:runtime.Stack(buf, false)]), "\n")
	_, bubble, found := strings.Cut(header, "synctest bubble ")
	if !found {
		return ""
	}
	return "synctest bubble " + strings.TrimRight(bubble, "]:")
}

// goroutinesOf lists the goroutines of a bubble.
func goroutinesOf(bubble string) []goroutine {
	var found []goroutine
	for _, block := range strings.Split(allStacks(), "\n\n") {
		header, rest, _ := strings.Cut(block, "\n")
		_, brackets, _ := strings.Cut(header, "[")
		brackets = strings.TrimRight(brackets, "]:")
		state, of, _ := strings.Cut(brackets, ", "+bubble)
		if bubble == "" || !strings.Contains(brackets, ", "+bubble) || of != "" && of[0] != ',' {
			continue
		}
		g := goroutine{state: state}
		for _, line := range strings.Split(rest, "\n") {
			if line == "" || line[0] == '\t' {
				continue
			}
			if by, ok := strings.CutPrefix(line, "created by "); ok {
				g.origin, _, _ = strings.Cut(by, " in goroutine")
				continue
			}
			if i := strings.LastIndexByte(line, '('); i > 0 {
				line = line[:i]
			}
			g.stack = append(g.stack, line)
		}
		found = append(found, g)
	}
	return found
}

func allStacks() string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			return string(buf[:n])
		}
		buf = make([]byte, 2*len(buf))
	}
}
