package hop2

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/internal/simtest"
)

func (k *kafkaOnPipes) member(t *testing.T, name string) *KafkaGroup {
	g, err := NewKafkaGroup(KafkaGroupConfig{Config: Config{Addr: k.addrs[0], Dial: pipesTo(k.pipes)}, Group: "edges", Member: name})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}

// shared is what the members of a group read of each room, and who did.
type shared struct {
	mu     sync.Mutex
	seqs   map[string][]uint64
	gaps   int
	reader map[string]string
}

// follow reads rooms as a member of a group, from where the group is, until ctx ends or the member is closed.
func (s *shared) follow(ctx context.Context, t *testing.T, name string, g *KafkaGroup, rooms []string) {
	for _, room := range rooms {
		go func() {
			for {
				sub, err := g.Subscribe(ctx, room, model.Cursor{})
				if err != nil {
					if ctx.Err() == nil && !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					return
				}
				gap := sub.Start().Gap != ""
				for b := (Batch{}); err == nil; b, err = sub.Next(ctx) {
					s.mu.Lock()
					s.reader[room] = name
					if gap || b.Gap != nil {
						s.gaps++
					}
					gap = false
					for _, m := range b.Messages {
						s.seqs[room] = append(s.seqs[room], m.Seq)
					}
					s.mu.Unlock()
				}
				sub.Unsubscribe()
			}
		}()
	}
}

// Goal: members share the rooms; when one joins or leaves, others take over where it stopped, and every message is
// read by one of them, once.
// Method: one member, then two, then three; one is closed; all while messages are published.
func TestKafkaGroup(t *testing.T) {
	if testing.Short() {
		t.Skip("a second")
	}
	synctest.Test(t, func(t *testing.T) {
		k := newKafkaOnPipes(t, "", 1)
		publisher := k.open(t, k.addrs[0])
		var rooms []string
		for i := range 12 {
			rooms = append(rooms, fmt.Sprintf("r.%d", i))
		}
		s := &shared{seqs: map[string][]uint64{}, reader: map[string]string{}}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		published := 0
		round := func() map[string]int {
			t.Helper()
			for range 20 { // which takes two seconds, of which half a second is heartbeats
				published++
				for _, room := range rooms {
					publish(t, publisher, room, published, published)
				}
				time.Sleep(100 * time.Millisecond)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, room := range rooms {
				require.Equal(t, simtest.UpTo(1, uint64(published)), s.seqs[room], room)
			}
			require.Zero(t, s.gaps)
			owned := map[string]int{}
			for _, name := range s.reader {
				owned[name]++
			}
			return owned
		}
		members := map[string]*KafkaGroup{}
		join := func(name string) {
			members[name] = k.member(t, name)
			s.follow(ctx, t, name, members[name], rooms)
		}
		join("a")
		time.Sleep(time.Second)
		require.Equal(t, map[string]int{"a": 12}, round())
		join("b")
		two := round()
		require.Len(t, two, 2)
		join("c")
		three := round()
		require.Len(t, three, 3)
		require.Less(t, three["a"], two["a"]+1)
		require.NoError(t, members["b"].Close())
		back := round()
		require.Len(t, back, 2)
		require.Zero(t, back["b"])
	})
}

// Goal: when a member dies, another reads on from what the group knows: nothing is lost, and only what was read
// last comes twice. One that cannot reach the group stops by itself before that.
// Method: a member's connections are cut; the other has the room after a session's length.
func TestKafkaGroupMemberDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKafkaOnPipes(t, "", 1)
		publisher := k.open(t, k.addrs[0])
		cut := &network{pipes: true, pipe: k.pipes[k.addrs[0]]}
		dying, err := NewKafkaGroup(KafkaGroupConfig{Config: Config{Addr: k.addrs[0], Dial: cut.dial}, Group: "edges", Member: "a"})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, dying.Close()) })
		sub, err := dying.Subscribe(within(t, patience), "r", model.Cursor{})
		require.NoError(t, err)
		_, err = dying.Subscribe(within(t, patience), "r", model.Cursor{})
		require.ErrorContains(t, err, "member a has it already")
		waiting := make(chan Subscription, 1)
		other := k.member(t, "z")
		go func() {
			sub, err := other.Subscribe(context.Background(), "r", model.Cursor{})
			if err == nil {
				waiting <- sub
			}
		}()
		start := sub.Start().Cursor
		at := publish(t, publisher, "r", 1, 3)
		collect(t, sub, start, at)
		// That Next is called again, and a heartbeat, make it known that three have been read.
		_, err = sub.Next(within(t, time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		end := publish(t, publisher, "r", 4, 6)
		collect(t, sub, at, end)

		cut.mu.Lock()
		cut.deaf = true
		cut.mu.Unlock()
		cut.cut()
		died := time.Now()
		_, err = sub.Next(context.Background())
		require.ErrorIs(t, err, ErrMoved)
		require.LessOrEqual(t, time.Since(died), kafkaSession)
		stopped := time.Now()
		next := <-waiting
		require.False(t, time.Now().Before(stopped), "two members read at a time")
		require.Less(t, time.Since(died), kafkaSession+time.Second)
		requireAt(t, at, next.Start())
		seqs, gaps := collect(t, next, at, end)
		require.Equal(t, simtest.UpTo(4, 6), seqs)
		require.Empty(t, gaps)

		_, err = next.Next(within(t, time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded)

		// As long as it is cut off it gets nothing; then it joins anew.
		_, err = dying.Subscribe(within(t, 10*time.Second), "r", model.Cursor{})
		require.ErrorIs(t, err, ErrUnavailable)
		cut.mu.Lock()
		cut.deaf = false
		cut.mu.Unlock()
		cut.cut()
		next.Unsubscribe()
		again, err := dying.Subscribe(within(t, 20*time.Second), "r", model.Cursor{})
		require.NoError(t, err)
		requireAt(t, end, again.Start())
	})
}

func TestKafkaGroupErrors(t *testing.T) {
	for want, cfg := range map[string]KafkaGroupConfig{
		`Group: ""`:    {Member: "a"},
		`Member: ""`:   {Group: "g"},
		"Session: 1ms": {Group: "g", Member: "a", Session: time.Millisecond},
		"Addr":         {Group: "g", Member: "a"},
	} {
		_, err := NewKafkaGroup(cfg)
		require.ErrorContains(t, err, want)
	}
}

// Goal: a broker that was away for longer than a session has forgotten the members, but not how far they read.
func TestKafkaGroupRestart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k := newKafkaOnPipes(t, dir, 1)
		publisher := k.open(t, k.addrs[0])
		g := k.member(t, "a")
		sub, err := g.Subscribe(within(t, patience), "r", model.Cursor{})
		require.NoError(t, err)
		at := publish(t, publisher, "r", 1, 3)
		collect(t, sub, sub.Start().Cursor, at)
		_, err = sub.Next(within(t, time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		k.stop(0)
		time.Sleep(4 * time.Second)
		k.start(t, 0)
		_, err = sub.Next(within(t, time.Second))
		require.ErrorIs(t, err, ErrMoved)
		sub.Unsubscribe()
		sub, err = g.Subscribe(within(t, patience), "r", model.Cursor{})
		require.NoError(t, err)
		requireAt(t, at, sub.Start())
	})
}
