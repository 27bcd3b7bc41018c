package properties_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/properties"
)

// Whatever the history, every property answers, does not panic, and does not take long; it says so again
// when it is asked again; and what it rejects, it rejects by a step of the history.
func FuzzProperties(f *testing.F) {
	kinds := []model.Kind{
		model.PublishCall, model.PublishOK, model.PublishUnknown, model.Connected, model.Disconnected, model.Deliver, model.Discontinuity,
		model.Call, model.Return, model.ReturnUnknown, model.Copy, model.Level, model.Queue, model.Join, model.Leave, model.Assign,
		model.Announce, model.Commit, model.Members, model.FaultBegin, model.FaultEnd, model.RunEnd,
	}
	notes := []string{"put(a)", "get()", "cas(a, b)", "acquire(n, 1ms)", "renew(n)", "reserve(1, n)", "look(1)", "bid(n, 3)", "close()", "ok", "no", "", "nonsense("}
	f.Add([]byte{0, 1, 1, 0, 1, 1, 1, 1, 3, 2, 0, 0, 5, 2, 1, 1, 20, 0, 0, 0})
	f.Add([]byte{13, 0, 0, 1, 13, 0, 0, 2, 15, 0, 0, 1, 16, 1, 0, 2, 10, 1, 1, 1, 17, 1, 0, 2, 20, 0, 0, 0})
	f.Add([]byte{7, 0, 1, 3, 8, 0, 1, 12, 7, 1, 2, 4, 8, 1, 2, 11})
	f.Add([]byte{11, 0, 0, 200, 12, 0, 3, 100, 18, 0, 0, 0, 4, 1, 0, 0, 19, 0, 0, 0, 3, 1, 0, 0, 20, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		h := &model.History{}
		for i := 0; i+3 < len(data) && len(h.Events) < 40; i += 4 {
			kind, who, what, n := kinds[int(data[i])%len(kinds)], data[i+1], data[i+2], data[i+3]
			e := model.Event{
				Step: uint64(len(h.Events) + 1), Time: time.Duration(i) * time.Millisecond, Kind: kind,
				Node: string('a' + rune(who%4)), Room: string('r' + rune(who/4%2)), ID: string('A' + rune(what%5)),
				Seq: uint64(n % 16), Epoch: []string{"e1", "e2"}[who/8%2], Resumed: who >= 128,
				Peer: string('a' + rune(n%4)), Object: string('a' + rune(n/4%4)), Value: int64(n), Limit: int64(what),
				Note: notes[int(n)%len(notes)], Deps: string('A' + rune(n%5)),
			}
			if kind == model.Call || kind == model.Return || kind == model.ReturnUnknown {
				e.Object = []string{"registry/x", "seats/x", "auction/x"}[what%3]
			}
			if n > 250 {
				e.Seq = ^uint64(0) - uint64(n-251)
			}
			h.Events = append(h.Events, e)
			if kind == model.RunEnd {
				break
			}
		}
		for _, entry := range properties.Catalogue() {
			p, err := properties.Find(entry.Example)
			require.NoError(t, err)
			v := p.Check(h)
			require.Equal(t, v, p.Check(h))
			require.NotEmpty(t, v.Detail)
			require.Equal(t, v.Outcome == illegal, v.Step > 0 && v.Step <= uint64(len(h.Events)), v)
		}
	})
}
