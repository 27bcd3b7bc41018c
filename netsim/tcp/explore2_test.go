package tcp
import ("testing";"fmt";"time";"slices")
func TestExplore2(t *testing.T) {
	for _, cc := range []Congestion{CUBIC, Reno} {
	h := map[int]int{}
	for seed := range uint64(30) {
		for _, l := range messages(cc, .01, seed, 3000) { h[int(l/time.Millisecond)]++ }
	}
	var ks []int
	for k := range h { ks = append(ks,k) }
	slices.Sort(ks)
	fmt.Print(cc," ")
	for _,k := range ks { fmt.Printf("%d:%.1f ", k, float64(h[k])/10) }
	fmt.Println()
	}
	p := false
	for i, l := range messages(CUBIC,.01,1,1200) {
		if l > 58*time.Millisecond { fmt.Print(i," ",l/1000, " | "); p=true } else if p { fmt.Println(); p=false }
	}
}
