package properties

import (
	"fmt"
	"sort"
	"strings"

	"github.com/twohop/twohop/model"
)

// TotalOrder: there is one order of a room's messages that all clients see them in, whatever the
// positions say.
//
// Formally, for each room: let the relation m < n hold if some client's first Deliver of m precedes its
// first Deliver of n. The relation has no cycle. In particular no two clients see two messages in different
// orders. Messages are told apart by their IDs.
//
// It does not cover whether the order is that of the log ([InOrder]), that of the publishers ([FIFO],
// [Causal]), or the same in another room. If no two clients got the same two messages, there is nothing
// to check, and the verdict is Unknown.
func TotalOrder() model.Property { return property{"TotalOrder", checkTotalOrder} }

// follow is that a client saw a message right after another.
type follow struct {
	from, to messageKey
	client   string
	step     uint64
}

func checkTotalOrder(h *model.History) model.Verdict {
	last := map[subscription]messageKey{}
	got := map[subscription]map[string]bool{}
	seen := map[messageKey]int{} // by how many clients
	shared := map[string]int{}   // by room, messages that several clients saw
	var follows []follow
	for i := range h.Events {
		e := &h.Events[i]
		if e.Kind != model.Deliver || e.ID == "" {
			continue
		}
		sub, m := subscription{e.Node, e.Room}, messageKey{e.Room, e.ID}
		if got[sub] == nil {
			got[sub] = map[string]bool{}
		}
		if got[sub][e.ID] {
			continue
		}
		got[sub][e.ID] = true
		if seen[m]++; seen[m] == 2 {
			shared[e.Room]++
		}
		if before, known := last[sub]; known {
			follows = append(follows, follow{before, m, e.Node, e.Step})
		}
		last[sub] = m
	}
	n := sort.Search(len(follows), func(i int) bool { return hasCycle(follows[:i+1]) })
	if n < len(follows) {
		return illegal(follows[n].step, "%s", disagreement(follows[:n+1]))
	}
	for _, messages := range shared {
		if messages >= 2 {
			return ok("%d deliveries agree on one order", len(follows)+len(last))
		}
	}
	return unknown("nothing to check: no two clients got the same two messages")
}

// hasCycle reports whether a relation has a cycle: whether something is left when what nothing comes
// before is taken away, again and again.
func hasCycle(follows []follow) bool {
	after := map[messageKey][]messageKey{}
	before := map[messageKey]int{}
	for _, f := range follows {
		after[f.from] = append(after[f.from], f.to)
		before[f.to]++
		before[f.from] += 0
	}
	var free []messageKey
	for m, n := range before {
		if n == 0 {
			free = append(free, m)
		}
	}
	left := len(before)
	for len(free) > 0 {
		m := free[len(free)-1]
		free = free[:len(free)-1]
		left--
		for _, to := range after[m] {
			if before[to]--; before[to] == 0 {
				free = append(free, to)
			}
		}
	}
	return left > 0
}

// disagreement says how the last of follows closes a cycle, by the shortest way round.
func disagreement(follows []follow) string {
	last := follows[len(follows)-1]
	after := map[messageKey][]follow{}
	for _, f := range follows {
		after[f.from] = append(after[f.from], f)
	}
	came := map[messageKey]follow{}
	for todo := []messageKey{last.to}; len(todo) > 0; todo = todo[1:] {
		for _, f := range after[todo[0]] {
			if _, known := came[f.to]; !known && f.to != last.to {
				came[f.to] = f
				todo = append(todo, f.to)
			}
		}
	}
	var way []string
	for m := last.from; m != last.to; {
		// One client may have gone all the way from an earlier message.
		f := came[m]
		from := f.from
		for from != last.to && came[from].client == f.client {
			from = came[from].from
		}
		way = append([]string{fmt.Sprintf("client %q saw %q before %q", f.client, from, m)}, way...)
		m = from
	}
	return fmt.Sprintf("client %q saw %q after %q, but %s", last.client, last.to, last.from, strings.Join(way, ", and "))
}
