package sim_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/netsim"
	"github.com/twohop/twohop/sim"
)

func TestClientSurvivesServerCrash(t *testing.T) {
	sim.Test(t, func(w *sim.World) {
		w.Link("phone", "server", netsim.Link{Latency: 40 * time.Millisecond, Loss: 0.01})
		w.Node("server", func(ctx context.Context, n *sim.Node) error {
			return n.Serve(ctx, ":80", http.NotFoundHandler()) // your http.Handler here
		})
		answers := 0
		w.Node("phone", func(ctx context.Context, n *sim.Node) error {
			client := n.HTTPClient() // your client code here, with this as its *http.Client
			client.Timeout = time.Second
			for ; ctx.Err() == nil; time.Sleep(time.Second) {
				if resp, err := client.Get("http://server/"); err == nil {
					_ = resp.Body.Close()
					answers++
				}
			}
			return nil
		})
		w.At(10*time.Second, sim.Crash("server"))
		w.At(20*time.Second, sim.Restart("server"))
		w.RunFor(time.Minute) // virtual: it takes milliseconds
		w.MustHaveBitten("crash")
		require.Greater(w.T(), answers, 35, "it should get an answer nearly every second, but for ten")
	})
}

// Goal: what the README shows is what is tested here.
func TestReadmeShowsThisTest(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	source, err := os.ReadFile("readme_test.go")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(source), "\n\nfunc TestClientSurvivesServerCrash")
	require.True(t, found)
	body, _, found := strings.Cut(rest, "\n}\n")
	require.True(t, found)
	test := "func TestClientSurvivesServerCrash" + body + "\n}\n"
	require.Contains(t, string(readme), test, "README.md shows another version of the test; copy this one there")
	lines := strings.Count(test, "\n")
	require.LessOrEqual(t, lines, 30, fmt.Sprintf("the README promises a short test; it has %d lines", lines))
}
