package hop2

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop2/coord"
)

// registryOf is what a coordination service has of a ring.
func registryOf(t require.TestingT, tr *model.Transition, source string, edges ...string) []coord.Item {
	var items []coord.Item
	if tr != nil {
		items = append(items, coord.Item{Key: RingAssignment, Value: encodeTransition(*tr), Version: 9})
	}
	if source != "" {
		items = append(items, coord.Item{Key: RingSource, Value: source, Version: 3})
	}
	for _, e := range edges {
		items = append(items, coord.Item{Key: RingEdges + e, Value: "http://" + e, Version: 2})
	}
	return items
}

func modulo(members ...string) model.Placement {
	return model.Placement{Kind: model.Modulo, Members: members}
}

// must gives a transition that cannot be wrong.
func must(t require.TestingT) func(model.Transition, error) model.Transition {
	return func(tr model.Transition, err error) model.Transition {
		require.NoError(t, err)
		return tr
	}
}

// A new owner serves clients only when the source says that it delivers to it; nobody knows anything while
// fenced.
func TestRingView(t *testing.T) {
	ok := must(t)
	stable := ok(model.NewTransition(modulo("a")))
	moving := ok(stable.Announce(modulo("b")))
	for name, c := range map[string]struct {
		items []coord.Item
		home  string
	}{
		"nothing":                             {nil, ""},
		"stable, though the source is silent": {registryOf(t, &stable, ""), "a"},
		"announced":                           {registryOf(t, &moving, RingStep(stable)), "a"},
		"delivered to both":                   {registryOf(t, &moving, RingStep(moving)), "b"},
	} {
		v, err := readView(c.items)
		require.NoError(t, err)
		home, known := v.home("room")
		require.Equal(t, c.home, home, name)
		require.Equal(t, c.home != "", known)
		v.fenced = true
		_, known = v.home("room")
		require.False(t, known)
	}
	half := ok(moving.Move("a"))
	require.Equal(t, RingStep(moving), RingStep(half), "edges that move are no new step")
	require.NotEqual(t, RingStep(moving), RingStep(ok(half.Commit())))
	_, err := readView([]coord.Item{{Key: RingAssignment, Value: "nonsense"}})
	require.ErrorContains(t, err, "the assignment")
	_, err = readView([]coord.Item{{Key: RingAssignment, Value: `{"version":1}`}})
	require.ErrorContains(t, err, "there are 0 Members")
}

// The controller's decisions, one by one.
func TestControllerNext(t *testing.T) {
	ok := must(t)
	one := ok(model.NewTransition(modulo("a")))
	two := ok(one.Announce(modulo("a", "b")))
	moved := ok(two.Move("a"))
	for name, c := range map[string]struct {
		items  []coord.Item
		mutant ControlMutant
		want   string
	}{
		"nobody there":                      {nil, "", ""},
		"the first edge":                    {registryOf(t, nil, "", "a"), "", "begin"},
		"all as it should be":               {registryOf(t, &one, "", "a"), "", ""},
		"another edge":                      {registryOf(t, &one, "", "a", "b"), "", "announce"},
		"all dead: nobody to assign to":     {registryOf(t, &one, ""), "", ""},
		"an owner that lives is waited for": {registryOf(t, &two, "", "a", "b"), "", ""},
		"a dead one is spoken for":          {registryOf(t, &two, "", "b"), "", "move a"},
		"all have moved":                    {registryOf(t, &moved, "", "a", "b"), "", "commit"},
		"mutant":                            {registryOf(t, &two, "", "a", "b"), EarlyCommit, "move a"},
		"one that leaves":                   {append(registryOf(t, &one, "", "a", "b"), coord.Item{Key: RingLeaving + "a", Version: 1}), "", "announce"},
		"the last one leaves":               {append(registryOf(t, &one, "", "a"), coord.Item{Key: RingLeaving + "a", Version: 1}), "", ""},
	} {
		v, err := readView(c.items)
		require.NoError(t, err)
		next, step, err := (&Controller{Placement: modulo(), Mutant: c.mutant}).next(&v)
		require.NoError(t, err)
		require.Equal(t, c.want, step, name)
		if step != "" {
			require.NoError(t, next.Validate(), name)
		}
	}
	v, err := readView(registryOf(t, nil, "", "a"))
	require.NoError(t, err)
	_, _, err = (&Controller{Placement: model.Placement{Kind: "random"}}).next(&v)
	require.ErrorContains(t, err, `Kind is "random"`)
	require.ErrorContains(t, (&Controller{}).Run(t.Context()), "Coord: nil")
}

// Whatever edges come, go and move, the controller's steps are legal, and it comes to rest with the edges that
// are there.
func TestControllerComesToRest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		names := []string{"a", "b", "c", "d"}
		alive := map[string]bool{"a": true}
		var tr *model.Transition
		edges := func() (list []string) {
			for _, n := range names {
				if alive[n] {
					list = append(list, n)
				}
			}
			return list
		}
		c := &Controller{Placement: modulo()}
		step := func() string {
			v, err := readView(registryOf(rt, tr, "", edges()...))
			require.NoError(rt, err)
			next, name, err := c.next(&v)
			require.NoError(rt, err)
			if name != "" {
				tr = &next
			}
			return name
		}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"control", "edge", "move"}).Draw(rt, "what") {
			case "control":
				step()
			case "edge":
				n := rapid.SampledFrom(names).Draw(rt, "edge")
				alive[n] = !alive[n]
			case "move":
				if tr != nil && len(tr.Waiting()) > 0 {
					next, err := tr.Move(tr.Waiting()[0])
					require.NoError(rt, err)
					tr = &next
				}
			}
		}
		for calm := 0; calm < 2; {
			if step() == "" {
				calm++
			}
			if tr != nil && len(tr.Waiting()) > 0 && alive[tr.Waiting()[0]] {
				next, err := tr.Move(tr.Waiting()[0])
				require.NoError(rt, err)
				tr, calm = &next, 0
			}
		}
		if len(edges()) > 0 {
			require.False(rt, tr.Moving())
			require.Equal(rt, edges(), tr.Old.Members)
		}
	})
}

// tuned is a handler that sets up its server.
type tuned struct{ http.Handler }

func (tuned) Configure(srv *http.Server) { srv.IdleTimeout = time.Minute }

// Who asks the wrong edge is sent to the right one, and told to wait while nobody knows which that is.
func TestRedirect(t *testing.T) {
	n := newNetwork(t, true) // on which nobody is to be reached
	r, err := NewRing(RingConfig{
		Config: Config{Addr: "source:80", Dial: n.dial}, Name: "a", Coordinators: []string{"c:1"}, TTL: time.Hour,
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	h := r.Redirect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	ask := func(method, target string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
		return w
	}
	require.Equal(t, http.StatusServiceUnavailable, ask("GET", "/rooms/r/events").Code)
	require.NotImplements(t, (*configurer)(nil), h)
	srv := &http.Server{}
	r.Redirect(tuned{h}).(configurer).Configure(srv)
	require.Equal(t, time.Minute, srv.IdleTimeout, "the handler's own settings go through")
	show := func(owner string, edges ...string) {
		tr := must(t)(model.NewTransition(modulo(owner)))
		v, err := readView(registryOf(t, &tr, "", edges...))
		require.NoError(t, err)
		r.change(func() { r.view = v })
	}
	show("a", "a", "b")
	require.Equal(t, http.StatusNoContent, ask("GET", "/rooms/r/events").Code)
	show("b", "a", "b")
	w := ask("GET", "/rooms/r/events?cursor=e%3A7")
	require.Equal(t, http.StatusTemporaryRedirect, w.Code)
	require.Equal(t, "http://b/rooms/r/events?cursor=e%3A7", w.Header().Get("Location"))
	require.Equal(t, 1, r.Stats().Redirects)
	for _, c := range [][2]string{{"POST", "/rooms/r/messages"}, {"GET", "/rooms/"}, {"GET", "/rooms/../x"}, {"GET", "/elsewhere"}} {
		require.Equal(t, http.StatusNoContent, ask(c[0], c[1]).Code, c)
	}
	show("b", "a")
	require.Equal(t, http.StatusServiceUnavailable, ask("GET", "/rooms/r/events").Code, "its owner is dead")
	_, err = r.Subscribe(within(t, 50*time.Millisecond), "r", model.Cursor{})
	require.ErrorIs(t, err, ErrUnavailable)
	r.change(func() { r.live = true })
	_, err = r.Subscribe(within(t, time.Second), "r", model.Cursor{})
	var moved *MovedError
	require.ErrorAs(t, err, &moved)
	require.Equal(t, MovedError{"r", "b"}, *moved)
	require.ErrorIs(t, err, ErrClosed)
	_, err = r.Subscribe(within(t, time.Second), "..", model.Cursor{})
	require.ErrorIs(t, err, ErrInvalid)
}

func TestRingConfig(t *testing.T) {
	for want, change := range map[string]func(*RingConfig){
		"Addr":            func(c *RingConfig) { c.Addr = "" },
		"a member has no": func(c *RingConfig) { c.Name = "" },
		"Coordinators":    func(c *RingConfig) { c.Coordinators = nil },
		"TTL: 1ns":        func(c *RingConfig) { c.TTL = 1 },
		"MovePace: -1s":   func(c *RingConfig) { c.MovePace = -time.Second },
	} {
		cfg := RingConfig{Config: Config{Addr: "source:80"}, Name: "a", Coordinators: []string{"c:1"}}
		change(&cfg)
		_, err := NewRing(cfg)
		require.ErrorContains(t, err, want)
	}
}

// Whatever is in the registry: no panic, and a view that is accepted knows whose a room is.
func FuzzReadView(f *testing.F) {
	tr := must(f)(model.NewTransition(modulo("a", "b")))
	moving := must(f)(tr.Announce(model.Placement{Kind: model.Bounded, Members: []string{"a"}, Slots: 4}))
	f.Add(encodeTransition(tr), "1")
	f.Add(encodeTransition(moving), "2")
	f.Add(`{"version":1,"old":{"kind":"modulo","members":["a","a"]}}`, "")
	f.Fuzz(func(t *testing.T, assignment, source string) {
		v, err := readView([]coord.Item{{Key: RingAssignment, Value: assignment}, {Key: RingSource, Value: source}})
		if err != nil {
			return
		}
		home, known := v.home("room")
		require.True(t, known)
		require.Contains(t, v.assignment.Deliver("room"), home)
		var again model.Transition
		require.NoError(t, json.Unmarshal([]byte(encodeTransition(v.assignment.Transition())), &again))
		require.NoError(t, again.Validate())
	})
}

// Whatever a lookup answers: no panic, and never a room without an edge.
func FuzzDecodeRing(f *testing.F) {
	tr := must(f)(model.NewTransition(modulo("a", "b")))
	b, err := json.Marshal(registryOf(f, &tr, "1", "a", "b"))
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte(`[]`))
	f.Add([]byte(`[{"key":"ring/assignment","value":"{}"}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decodeRing(b)
		if err != nil {
			return
		}
		owner, known := v.home("room")
		require.True(t, known)
		if u, err := parseEdge(v.edges[owner]); err == nil {
			require.NotEmpty(t, u.Host)
		}
	})
}
