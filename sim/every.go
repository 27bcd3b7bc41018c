package sim

import (
	"fmt"
	"time"
)

// Every has f called by the loop from now on, each time that so much virtual time has passed, until the run
// ends. All programs are at rest then, so that f can look at what they hold, and [World.Record] it, and sees
// the same in every run. It must not wait for anything.
func (w *World) Every(period time.Duration, f func()) {
	if period <= 0 {
		w.Fail(fmt.Errorf("sim: Every: the period is %v; want a positive one", period))
		return
	}
	var again func()
	again = func() {
		if w.ended {
			return
		}
		f()
		w.net.Schedule(w.net.Now()+period, again)
	}
	w.net.Schedule(w.net.Now()+period, again)
}
