package scenarios

import (
	"time"

	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
)

// limitCards gives each host of a source a network card of limited rate for what it sends, in Mbit/s; 0 is
// unlimited. Its queue takes drain to empty when it is full.
func limitCards(w *sim.World, hosts []string, rate float64, drain time.Duration) {
	if rate == 0 {
		return
	}
	const packet = 1500 // at least one waits, however slow the card
	card := netsim.Bottleneck{Rate: int64(rate * 1e6), Queue: max(packet, int(rate*1e6/8*drain.Seconds()))}
	for _, host := range hosts {
		w.Fail(w.Net().SetUplink(host, card))
	}
}

// cardDrain is the longest that a packet waits in the queue of a card in [Brokers].
const cardDrain = 200 * time.Millisecond
