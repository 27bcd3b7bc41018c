package hop2

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2/wire"
)

// listen keeps the source's stream open, until the strategy is closed.
func (r *Ring) listen() {
	transport := &http.Transport{DialContext: r.cfg.Dial, DisableCompression: true}
	defer transport.CloseIdleConnections()
	for failures := 0; r.ctx.Err() == nil; {
		served, _ := r.stream(&http.Client{Transport: transport}) // it has gone, however
		if served {
			failures = 0
		}
		failures++
		_ = r.log.pause(r.ctx, r.cfg.backoff(failures)+r.apart(3)) // it is the end
	}
}

// stream opens the stream and takes what comes, and tells whether anything did. A source that is silent for
// Timeout is taken for dead.
func (r *Ring) stream(client *http.Client) (served bool, err error) {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	silence := time.AfterFunc(r.cfg.Timeout, cancel)
	defer silence.Stop()
	u := "http://" + r.cfg.Addr + "/deliver?edge=" + url.QueryEscape(r.cfg.Name)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return false, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4096)) // so that the connection can be used again
		return false, fmt.Errorf("hop2 ring: the source answered %d", resp.StatusCode)
	}
	defer r.change(func() { r.live = false })
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, wire.MaxLine)
	for lines.Scan() {
		silence.Reset(r.cfg.Timeout)
		d, err := wire.DecodeDelivery(lines.Bytes())
		if err != nil {
			return served, err
		}
		if !served {
			served = true
			r.connected()
		}
		if d.Room != "" {
			r.deliver(d)
		}
	}
	return served, lines.Err()
}

// connected says that from now on everything comes on the stream; what came before it may be missing.
func (r *Ring) connected() {
	r.change(func() {
		r.live = true
		r.stats.Streams++
		for _, subs := range r.subs {
			for _, s := range subs {
				s.suspect()
			}
		}
	})
}

// deliver hands a live message to those who subscribe to its room.
func (r *Ring) deliver(d *wire.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Delivered++
	subs := r.subs[d.Room]
	if len(subs) == 0 {
		r.stats.Strays++
	}
	m := d.Record.Message(d.Room)
	for _, s := range subs {
		s.push(liveItem{model.Cursor{Epoch: d.Epoch, Seq: m.Seq}, &m})
	}
}
