package tcp
import ("testing";"fmt";"time")
func TestExplore5(t *testing.T) {
	last := ""
	for i := 1; i <= 724; i++ {
		n := 0
		traceWorld = func(w *world) { w.links[1].drop = func(seg *Segment) bool { if len(seg.Payload)>0 { n++; return n == i }; return false } }
		f := get(CUBIC, 0, 1, 1<<20)
		s := fmt.Sprint(f.total/(time.Millisecond))
		if s != last { fmt.Print(" | ", i, ":", s); last = s }
	}
	fmt.Println()
}
