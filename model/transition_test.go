package model_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
)

func modulo(n int) model.Placement { return model.Placement{Kind: model.Modulo, Members: members(n)} }

// The dance step by step, with what is refused at each.
func TestTransition(t *testing.T) {
	s, err := model.NewTransition(modulo(2))
	require.NoError(t, err)
	_, err = s.Commit()
	require.ErrorIs(t, err, model.ErrStable)
	_, err = s.Move("edge-1")
	require.ErrorIs(t, err, model.ErrStable)
	_, err = s.Revert()
	require.ErrorIs(t, err, model.ErrStable)
	_, err = s.Announce(model.Placement{Kind: model.Modulo})
	require.ErrorContains(t, err, "there are 0 Members")
	require.Empty(t, s.Waiting())

	moving, err := s.Announce(modulo(3))
	require.NoError(t, err)
	_, err = moving.Announce(modulo(4))
	require.ErrorIs(t, err, model.ErrMoving)
	_, err = moving.Move("edge-3")
	require.ErrorContains(t, err, `"edge-3" is not one of`)
	half, err := moving.Move("edge-2")
	require.NoError(t, err)
	again, err := half.Move("edge-2")
	require.NoError(t, err)
	require.Equal(t, half, again)
	_, err = half.Commit()
	require.ErrorIs(t, err, model.ErrNotMoved)
	require.ErrorContains(t, err, `["edge-1"]`)
	back, err := half.Revert()
	require.NoError(t, err)
	require.Equal(t, members(3), back.Old.Members)
	require.Equal(t, members(2), back.New.Members)
	require.Equal(t, members(3), back.Waiting())

	whole, err := half.Move("edge-1")
	require.NoError(t, err)
	require.Equal(t, members(2), whole.Moved)
	done, err := whole.Commit()
	require.NoError(t, err)
	require.Equal(t, model.Transition{Version: 5, Old: modulo(3)}, done)

	b, err := json.Marshal(half)
	require.NoError(t, err)
	var read model.Transition
	require.NoError(t, json.Unmarshal(b, &read))
	require.NoError(t, read.Validate())
	require.Equal(t, half, read)
}

func TestTransitionErrors(t *testing.T) {
	two, three := modulo(2), modulo(3)
	for want, s := range map[string]model.Transition{
		"Version is 0":                      {Old: two},
		"Old: placement":                    {Version: 1},
		"New: placement":                    {Version: 1, Old: two, New: &model.Placement{}},
		"there is no New":                   {Version: 1, Old: two, Moved: []string{"edge-1"}},
		`"x" is no member of Old`:           {Version: 1, Old: two, New: &three, Moved: []string{"x"}},
		"not sorted, or has a member twice": {Version: 1, Old: two, New: &three, Moved: []string{"edge-1", "edge-1"}},
	} {
		_, err := model.NewAssignment(s)
		require.ErrorContains(t, err, want)
	}
}

// danceBug is a way to get the dance wrong.
type danceBug string

const (
	noDualSend  danceBug = "the source sends to one owner only"
	earlyCommit danceBug = "the ring is updated before clients have moved"
)

// dance is a system in the small, in which nothing but delivery to owners brings a message to a client:
// there is no history to catch up from. What is sent arrives at once.
type dance struct {
	t       *model.Assignment
	bug     danceBug
	clients []danceClient
	sent    map[string]int // by room
	bit     bool           // a client was served by another than its home
}

type danceClient struct {
	room, at string
	got      int
}

func (d *dance) set(rt require.TestingT, s model.Transition, err error) {
	require.NoError(rt, err)
	d.t, err = model.NewAssignment(s)
	require.NoError(rt, err)
}

func (d *dance) publish(room string) {
	d.sent[room]++
	to := d.t.Deliver(room)
	if d.bug == noDualSend {
		to = to[len(to)-1:]
	}
	for i := range d.clients {
		c := &d.clients[i]
		if c.room == room && slices.Contains(to, c.at) {
			c.got++
		}
	}
}

// move moves the clients of a member that belong elsewhere, and says so.
func (d *dance) move(rt require.TestingT, member string, only int) {
	for i := range d.clients {
		if c := &d.clients[i]; c.at == member && d.t.Home(c.room) != member {
			if only == 0 {
				return // in the middle of it
			}
			only--
			c.at = d.t.Home(c.room)
			d.bit = true
		}
	}
	s, err := d.t.Transition().Move(member)
	d.set(rt, s, err)
}

func (d *dance) commit(rt require.TestingT) {
	s := d.t.Transition()
	if d.bug == earlyCommit {
		for _, m := range s.Waiting() {
			s, _ = s.Move(m) // it is one of those that wait
		}
	}
	s, err := s.Commit()
	if err == nil {
		d.set(rt, s, nil)
	}
}

// run lets random steps happen, and gives why a client lacks a message; "" if none does.
func (d *dance) run(rt *rapid.T) (lack string) {
	kind := rapid.SampledFrom(model.PlacementKinds()).Draw(rt, "kind")
	place := func(label string) model.Placement {
		return model.Placement{Kind: kind, Members: members(rapid.IntRange(1, 4).Draw(rt, label))}
	}
	s, err := model.NewTransition(place("first"))
	d.set(rt, s, err)
	rooms := keys(6)
	for i := range 12 {
		d.clients = append(d.clients, danceClient{room: rooms[i%6], at: d.t.Home(rooms[i%6])})
	}
	for range rapid.IntRange(5, 40).Draw(rt, "steps") {
		s := d.t.Transition()
		switch step := rapid.SampledFrom([]string{"publish", "announce", "move", "commit", "revert"}).Draw(rt, "step"); {
		case step == "publish":
			for _, r := range rooms {
				d.publish(r)
			}
		case step == "announce" && !s.Moving():
			s, err := s.Announce(place("next"))
			d.set(rt, s, err)
		case step == "move" && len(s.Waiting()) > 0:
			d.move(rt, rapid.SampledFrom(s.Waiting()).Draw(rt, "member"), rapid.IntRange(0, 9).Draw(rt, "clients"))
		case step == "commit" && s.Moving():
			d.commit(rt)
		case step == "revert" && s.Moving():
			s, err := s.Revert()
			d.set(rt, s, err)
		}
		for _, c := range d.clients {
			if c.got != d.sent[c.room] {
				return fmt.Sprintf("a client of %s at %s got %d of %d", c.room, c.at, c.got, d.sent[c.room])
			}
		}
	}
	return ""
}

// However publishing, moving, committing and reverting are interleaved, every client gets every message,
// though nothing but delivery to owners brings it.
func TestDanceLosesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := &dance{sent: map[string]int{}}
		if lack := d.run(rt); lack != "" {
			rt.Fatal(lack)
		}
	})
}

// Both ways to get it wrong lose messages, and so the property above can fail. On fixed examples.
func TestDanceMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of dances")
	}
	run := func(bug danceBug) *rapid.Generator[dance] {
		return rapid.Custom(func(rt *rapid.T) dance {
			d := dance{bug: bug, sent: map[string]int{}}
			if d.run(rt) != "" {
				d.sent = nil
			}
			return d
		})
	}
	for _, bug := range []danceBug{"", noDualSend, earlyCommit} {
		g, caught, moved := run(bug), 0, 0
		for seed := range 300 {
			d := g.Example(seed)
			if d.sent == nil {
				caught++
			}
			if d.bit {
				moved++
			}
		}
		t.Logf("%q: caught in %d of 300 examples; clients moved in %d", bug, caught, moved)
		if bug == "" {
			require.Zero(t, caught)
			require.Greater(t, moved, 50)
		} else {
			require.Greater(t, caught, 30, "%s", bug)
		}
	}
}
