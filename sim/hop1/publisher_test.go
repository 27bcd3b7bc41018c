package hop1

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

// post is one attempt as the server saw it.
type post struct {
	path string
	body PublishRequest
	at   time.Time
}

// scripted answers attempts by the given functions in turn, the last one for ever.
func scripted(t *testing.T, posts chan<- post, answers ...http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := post{path: r.Method + " " + r.URL.Path, at: time.Now()}
		if !assertDecode(t, r.Body, &p.body) {
			return
		}
		posts <- p
		answer := answers[0]
		if len(answers) > 1 {
			answers = answers[1:]
		}
		answer(w, r)
	})
}

func assertDecode(t *testing.T, r io.Reader, into any) bool {
	err := json.NewDecoder(r).Decode(into)
	if err != nil {
		t.Errorf("body: %v", err)
	}
	return err == nil
}

func answer(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}
}

// Goal: a message is published once the server says so, and not before, under one ID.
// Method: the server fails in every way that is worth another attempt, then takes it.
func TestPublishInsists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		posts := make(chan post, 20)
		w := newWire(t, scripted(t, posts,
			answer(500, "oops"),
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "7")
				answer(429, "slow down")(w, nil)
			},
			func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, // breaks the connection
			func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },    // never answers
			answer(200, `{"cursor":"nonsense"}`),
			answer(200, `{"cursor":"e1:0"}`),
			answer(200, `{"cursor":"e1:42"}`),
		))
		rec := newRecorder()
		p := Publisher{
			Name: "p1", BaseURL: w.url, HTTP: w.client, Observe: rec.observe,
			AttemptTimeout: 2 * time.Second, Rand: rand.New(rand.NewPCG(3, 4)),
		}
		at, err := p.Publish(t.Context(), "r", "id-1", []byte("hi"))
		require.NoError(t, err)
		require.Equal(t, model.Cursor{Epoch: "e1", Seq: 42}, at)
		require.Equal(t, []model.Event{
			{Kind: model.PublishCall, Node: "p1", Room: "r", ID: "id-1"},
			{Kind: model.PublishOK, Node: "p1", Room: "r", ID: "id-1", Epoch: "e1", Seq: 42},
		}, rec.of(""))
		require.Len(t, posts, 7)
		close(posts)
		var times []time.Time
		for got := range posts {
			require.Equal(t, "POST /rooms/r/messages", got.path)
			require.Equal(t, PublishRequest{ID: "id-1", Publisher: "p1", Body: []byte("hi")}, got.body)
			times = append(times, got.at)
		}
		require.GreaterOrEqual(t, times[2].Sub(times[1]), 7*time.Second, "Retry-After is honoured")
		require.GreaterOrEqual(t, times[4].Sub(times[3]), 2*time.Second, "AttemptTimeout")
	})
}

// Goal: a final no is not tried again; giving up is bounded, and says that the outcome is unknown.
func TestPublishGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		posts := make(chan post, 1000)
		w := newWire(t, scripted(t, posts, answer(400, "no such shape"), answer(503, "closed for today")))
		rec := newRecorder()
		p := Publisher{Name: "p1", BaseURL: w.url, HTTP: w.client, Observe: rec.observe, MaxElapsed: 30 * time.Second}

		_, err := p.Publish(t.Context(), "r", "id-1", nil)
		require.ErrorContains(t, err, "refused with 400: no such shape")
		require.Len(t, posts, 1)
		require.Equal(t, []model.Event{
			{Kind: model.PublishCall, Node: "p1", Room: "r", ID: "id-1"},
			{Kind: model.PublishUnknown, Node: "p1", Room: "r", ID: "id-1", Note: "refused with 400: no such shape"},
		}, rec.of(""))

		began := time.Now()
		_, err = p.Publish(t.Context(), "r", "id-2", nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "refused with 503: closed for today")
		require.Equal(t, 30*time.Second, time.Since(began))
		require.Len(t, rec.of(model.PublishUnknown), 2)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = p.Publish(ctx, "r", "id-3", nil)
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestPublisherConfig(t *testing.T) {
	seen := 0
	good := Publisher{BaseURL: "http://edge", Observe: func(model.Event) { seen++ }}
	cases := []struct {
		field  string
		room   string
		change func(*Publisher)
	}{
		{"BaseURL", "r", func(p *Publisher) { p.BaseURL = "" }},
		{"HTTP.Timeout", "r", func(p *Publisher) { p.HTTP = &http.Client{Timeout: 1} }},
		{"AttemptTimeout", "r", func(p *Publisher) { p.AttemptTimeout = -1 }},
		{"MaxElapsed", "r", func(p *Publisher) { p.MaxElapsed = -1 }},
		{"Backoff.Min", "r", func(p *Publisher) { p.Backoff.Min = -1 }},
		{"Header", "r", func(p *Publisher) { p.Header = http.Header{"a b": nil} }},
		{"Over: a client of room", "r", func(p *Publisher) { p.Over = &Client{cfg: ClientConfig{Room: "s"}} }},
		{"room", "?", func(*Publisher) {}},
		{"room", strings.Repeat("r", model.MaxRoomLen+1), func(*Publisher) {}},
		{"publisher", "r", func(p *Publisher) { p.Name = "a\nb" }},
	}
	for _, c := range cases {
		p := good
		c.change(&p)
		_, err := p.Publish(t.Context(), c.room, "id", nil)
		require.ErrorContains(t, err, c.field)
	}
	_, err := good.Publish(t.Context(), "r", "", nil)
	require.ErrorContains(t, err, "no id")
	_, err = good.Publish(t.Context(), "r", "id", make([]byte, model.MaxBodyLen+1))
	require.ErrorContains(t, err, "body")
	require.Zero(t, seen, "nothing was sent, so nothing is recorded")
}
