package tcp

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestExplore(t *testing.T) {
	for _, cc := range []Congestion{CUBIC, Reno} {
		for _, loss := range []float64{0, 0.01, 0.03, 0.05} {
			var all []time.Duration
			late := 0
			for seed := range uint64(30) {
				l := messages(cc, loss, seed, 3000)
				all = append(all, l...)
			}
			slices.Sort(all)
			for _, x := range all {
				if x > 60*time.Millisecond {
					late++
				}
			}
			fmt.Printf("%v %.2f n=%d late %.4f:", cc, loss, len(all), float64(late)/float64(len(all)))
			for _, p := range []float64{.5, .9, .95, .99, .999} {
				fmt.Printf(" %.1f", float64(all[int(p*float64(len(all)))])/1e6)
			}
			fmt.Println()
			var tot []float64
			for seed := range uint64(60) {
				tot = append(tot, float64(get(cc, loss, seed, 1<<20).total)/1e6)
			}
			slices.Sort(tot)
			fmt.Printf("   mb: min %.0f q1 %.0f med %.0f q3 %.0f max %.0f\n", tot[0], tot[15], tot[30], tot[45], tot[59])
		}
	}
}
