package tcp
import ("testing";"fmt";"time")
func TestExplore4(t *testing.T) {
	for _, cc := range []Congestion{CUBIC,Reno} {
	h := map[int]int{}
	for seed := range uint64(400) {
		f := get(cc, .01, seed, 1<<20)
		h[int(f.total/(100*time.Millisecond))]++
	}
	for i := range 100 { if h[i]>0 { fmt.Printf("%d:%.1f%% ", i*100, float64(h[i])/4) } }
	fmt.Println()
	}
}
