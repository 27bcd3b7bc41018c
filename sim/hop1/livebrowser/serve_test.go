// As live_test.go.

//go:build !wasip1

package livebrowser

import (
	_ "embed"
	"fmt"
	"net"
	"net/http"

	"github.com/pion/webrtc/v4"

	"github.com/twohop/twohop/sim/edge"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
)

// The environment of a server's process: where to listen, and where its broker is.
const (
	serveEnv = "TWOHOP_TEST_SERVE"
	redisEnv = "TWOHOP_TEST_REDIS"
)

//go:embed testdata/page.html
var page []byte

// serve is an endpoint server that has the page beside its rooms. It prints where it listens, and ends with its
// process.
func serve(addr, redis string) error {
	hop, err := hop2.New("redis-streams", hop2.Config{Addr: redis})
	if err != nil {
		return err
	}
	peers := &hop1.WebRTC{Engine: func(e *webrtc.SettingEngine) { e.SetIncludeLoopbackCandidate(true) }}
	server, err := edge.New(edge.Config{Name: "edge", Strategy: hop, WebRTC: peers})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", server.Handler())
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page) // a browser that has left needs no page
	})
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, mux)
}
