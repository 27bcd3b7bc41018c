package browser

import (
	"context"
	"sync"
	"time"
)

// How Chromium throttles the timers of pages (J. Archibald, "Heavy throttling of chained JS timers beginning
// in Chrome 88", developer.chrome.com, 2021), and what the HTML standard demands of all (section 8.7).
const (
	// hiddenGrid: the timers of a hidden page are looked at once a second,
	hiddenGrid = time.Second
	// intensiveGrid: and once a minute if they are chained and the page has been hidden for intensiveAfter.
	intensiveGrid  = time.Minute
	intensiveAfter = 5 * time.Minute
	// chained is how many timers must have set one another for the last to count as chained.
	chained = 5
	// clamp is the least time of a timer more deeply nested than that.
	clamp = 4 * time.Millisecond
)

// Timers are those of one page. They are safe for concurrent use.
type Timers struct {
	born time.Time

	mu      sync.Mutex
	state   visibility
	changed chan struct{} // closed when the state changes
}

// visibility is what timers depend on.
type visibility struct {
	hidden time.Time // since when; zero if the page is visible
	exempt bool
}

// NewTimers gives a visible page's timers.
func NewTimers() *Timers { return &Timers{born: time.Now(), changed: make(chan struct{})} }

// Hide says that nobody sees the page any more. Hidden again it stays as it is.
func (t *Timers) Hide() {
	t.change(func(v *visibility) {
		if v.hidden.IsZero() {
			v.hidden = time.Now()
		}
	})
}

// Show says that somebody sees the page. Timers that are overdue fire at once.
func (t *Timers) Show() { t.change(func(v *visibility) { v.hidden = time.Time{} }) }

// Exempt says whether the page has an open WebRTC data channel or a live media track, which spares it the
// minutes, though not the seconds.
func (t *Timers) Exempt(exempt bool) { t.change(func(v *visibility) { v.exempt = exempt }) }

func (t *Timers) change(f func(*visibility)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.state)
	close(t.changed)
	t.changed = make(chan struct{})
}

// Wait is setTimeout: it waits until a timer fires that is set now to d, or returns why ctx ended. chain is how
// many timers have set one another before this one: 0 for one that is set by something else, such as an
// answer from the network, however often.
func (t *Timers) Wait(ctx context.Context, d time.Duration, chain int) error {
	set := time.Now()
	for {
		t.mu.Lock()
		state, changed := t.state, t.changed
		t.mu.Unlock()
		timer := time.NewTimer(time.Until(state.due(t.born, set, d, chain)))
		select {
		case <-timer.C:
			return ctx.Err()
		case <-changed:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// Every is setInterval: it calls f every d, of one chain, until ctx ends or f fails, and returns that error.
func (t *Timers) Every(ctx context.Context, d time.Duration, f func() error) error {
	for chain := 0; ; chain++ {
		if err := t.Wait(ctx, d, chain); err != nil {
			return err
		}
		if err := f(); err != nil {
			return err
		}
	}
}

// due is when a timer fires, if nothing changes, that was set to d.
func (v visibility) due(born, set time.Time, d time.Duration, chain int) time.Time {
	if chain > chained {
		d = max(d, clamp)
	}
	at := set.Add(max(d, 0))
	if v.hidden.IsZero() {
		return at
	}
	// What was due before the page was hidden has fired, or does so at the next look.
	at = onGrid(born, at, hiddenGrid)
	if chain >= chained && !v.exempt && at.Sub(v.hidden) > intensiveAfter {
		at = onGrid(born, at, intensiveGrid)
	}
	return at
}

// onGrid is the first look at or after a time.
func onGrid(born, at time.Time, grid time.Duration) time.Time {
	looks := (at.Sub(born) + grid - 1) / grid
	return born.Add(looks * grid)
}
