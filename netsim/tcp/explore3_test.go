package tcp
import ("testing";"fmt";"time")
var traceWorld func(*world)
func TestExplore3(t *testing.T) {
	shown := 0
	for seed := range uint64(30) {
		var lines []string
		var times []time.Duration
		traceWorld = func(w *world) { w.trace = func(s string) { lines = append(lines, s); times = append(times, w.now) } }
		l := messages(CUBIC, .01, seed, 3000)
		for i, x := range l {
			if x > 188*time.Millisecond && (i==0 || l[i-1] < 188*time.Millisecond) {
				shown++
				if shown > 8 { return }
				at := 110*time.Millisecond + time.Duration(i)*20*time.Millisecond
				fmt.Println("=====", seed, i, x)
				for j := range lines { if times[j] >= at-150*time.Millisecond && times[j] <= at+250*time.Millisecond { fmt.Println(lines[j]) } }
			}
		}
	}
}
