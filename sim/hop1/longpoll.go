package hop1

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Long polling (RFC 6202 section 2): the server holds a request until it has something to answer it
// with, and the client asks again at once. An update that comes while the client's next request is
// under way waits for it: after the first of two, the second takes up to three one-way delays.

// defaultHold is below the 30 s that RFC 6202 section 5.5 calls safe with most proxies.
const defaultHold = 25 * time.Second

// holdField checks how long requests are held.
func holdField(d *time.Duration) error {
	if *d == 0 {
		*d = defaultHold
	}
	if *d < time.Millisecond || *d > maxWait {
		return fieldError("Hold", *d, fmt.Sprintf("0 (meaning %v), or 1ms to %v", defaultHold, maxWait))
	}
	*d = d.Truncate(time.Millisecond)
	return nil
}

// HoldWarning says what is wrong with a hold if something between clients and servers, such as a
// balancer, forgets connections that were silent for the idle time-out, 0 meaning never. It gives "" if
// nothing is.
func HoldWarning(hold, idle time.Duration) string {
	if idle <= 0 || hold < idle {
		return ""
	}
	return fmt.Sprintf("hold of %v, but the balancer's idle time-out is %v: it will forget connections while the server holds their requests, and clients will report %q; hold for less than %v",
		hold, idle, ErrHoldCut, idle)
}

// requestHold reads how long, in milliseconds, the client asks to be held. Without a wish it is as long
// as the server likes.
func requestHold(r *http.Request, limit time.Duration) (time.Duration, error) {
	text := r.URL.Query().Get("hold")
	if text == "" {
		return limit, nil
	}
	ms, err := strconv.ParseUint(text, 10, 64)
	if err != nil || ms > uint64(maxWait.Milliseconds()) {
		return 0, fmt.Errorf("hold %.40q: want a whole number of milliseconds, 0 to %d", text, maxWait.Milliseconds())
	}
	return min(time.Duration(ms)*time.Millisecond, limit), nil
}

// serveLongPoll answers as soon as there is something, or when the hold has passed.
func (s *server) serveLongPoll(w http.ResponseWriter, r *http.Request, sub *opened) {
	s.answer(w, r, sub, sub.hold)
}

func dialLongPoll(ctx context.Context, cfg *ClientConfig, from claim) (stream, error) {
	return dialPolling(ctx, &pollStream{
		cfg: cfg, path: "longpoll", hold: cfg.Hold, at: from.Bookmark,
		pace: func(news bool) time.Duration {
			if news {
				return 0
			}
			return cfg.Backoff.Min // a server that holds nothing must not be asked without a pause
		},
	})
}
