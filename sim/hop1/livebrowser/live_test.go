// chromedp starts processes, which wasip1 has none of.

//go:build !wasip1

package livebrowser

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
	"github.com/twohop/twohop/sim/hop1"
	"github.com/twohop/twohop/sim/hop2"
	"github.com/twohop/twohop/sim/internal/simtest"
)

var live = flag.Bool("live", false, "run the tests that need a browser")

// TestMain fails the package if a goroutine of its tests is left. In a server's process it is the server.
func TestMain(m *testing.M) {
	if addr := os.Getenv(serveEnv); addr != "" {
		log.Fatal(serve(addr, os.Getenv(redisEnv)))
	}
	os.Exit(simtest.Main(m, "twohop/sim/", "net/http", "go-redis", "chromedp"))
}

// site is a broker, and a server process that can be killed and started again at the same address.
type site struct {
	t        *testing.T
	redis    string
	addr     string
	strategy hop2.Strategy // publishes, whatever becomes of the server
	ids      []string      // of what was published
	kill     func()
}

func newSite(t *testing.T) *site {
	s := &site{t: t, addr: "127.0.0.1:0"}
	l, err := net.Listen("tcp", s.addr)
	require.NoError(t, err)
	s.redis = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- hop2.ServeRedis(ctx, l, hop2.NewRedisStore()) }()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
	s.strategy, err = hop2.New("redis-streams", hop2.Config{Addr: s.redis})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.strategy.Close()) })
	s.start()
	t.Cleanup(func() { s.kill() })
	return s
}

// start starts a server at the address that the first one got: this program, in another process.
func (s *site) start() {
	self, err := os.Executable()
	require.NoError(s.t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), serveEnv+"="+s.addr, redisEnv+"="+s.redis)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(s.t, err)
	require.NoError(s.t, cmd.Start())
	s.kill = sync.OnceFunc(func() {
		require.NoError(s.t, cmd.Process.Kill())
		require.Error(s.t, cmd.Wait(), "it was killed")
	})
	s.addr, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(s.t, err, "the server says where it listens")
	s.addr = strings.TrimSpace(s.addr)
}

// publish publishes n more messages to the room.
func (s *site) publish(n int) {
	for range n {
		id := fmt.Sprintf("m%d", len(s.ids)+1)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		_, err := s.strategy.Publish(ctx, model.Message{Room: "r", ID: id, Body: []byte(id)})
		cancel()
		require.NoError(s.t, err)
		s.ids = append(s.ids, id)
	}
}

// session is what a client in the page tells of itself.
type session struct {
	Got             []string `json:"got"`
	Connects        int      `json:"connects"`
	Discontinuities int      `json:"discontinuities"`
	Errors          []string `json:"errors"`
}

// verdict says what is wrong with what a client got, of what was published.
func (s *session) verdict(published []string) error {
	switch {
	case len(s.Errors) > 0:
		return fmt.Errorf("it met with %q", s.Errors)
	case s.Discontinuities > 0:
		return fmt.Errorf("it was told of %d gaps", s.Discontinuities)
	case !slices.Equal(s.Got, published):
		return fmt.Errorf("it got %q of %q", s.Got, published)
	}
	return nil
}

func TestVerdict(t *testing.T) {
	published := []string{"a", "b", "c"}
	require.NoError(t, (&session{Got: published}).verdict(published))
	for _, bad := range []session{
		{Got: []string{"a", "c"}}, {Got: []string{"a", "b", "b", "c"}}, {Got: []string{"b", "a", "c"}}, {Got: []string{"a", "b"}}, {},
		{Got: published, Errors: []string{"x"}}, {Got: published, Discontinuities: 1},
	} {
		require.Error(t, bad.verdict(published), "%+v", bad)
	}
}

// browse starts a browser with the page open.
func browse(t *testing.T, url string) context.Context {
	binary, err := exec.LookPath("chromium")
	require.NoError(t, err, "install chromium (Debian package chromium)")
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(binary), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, // it will not start as root otherwise; the page is ours
		chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
	)
	allocator, quit := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); !errors.Is(err, context.Canceled) {
			require.NoError(t, err)
		}
		closeTab()
		quit()
	})
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(url)))
	return ctx
}

// join starts a client in the page.
func join(t *testing.T, browser context.Context, name, transport string, keepsCursor bool) {
	script := fmt.Sprintf("start(%q, %q, 'r', %t)", name, transport, keepsCursor)
	require.NoError(t, chromedp.Do(browser, chromedp.Evaluate[chromedp.Void](script)))
}

// await waits until the page's sessions are as they should be, and gives them. It fails after a minute.
func await(t *testing.T, browser context.Context, so func(map[string]*session) bool) map[string]*session {
	t.Helper()
	var last map[string]*session
	for range 600 {
		all, err := chromedp.Run(browser, chromedp.Evaluate[map[string]*session]("sessions"))
		require.NoError(t, err)
		if so(all) {
			return all
		}
		last = all
		time.Sleep(100 * time.Millisecond)
	}
	require.Failf(t, "it does not come to be so", "%s", describe(last))
	return nil
}

// describe shows what clients tell of themselves.
func describe(all map[string]*session) string {
	var text string
	for name, s := range all {
		text += fmt.Sprintf("%s: %+v\n", name, *s)
	}
	return text
}

// Goal: in a real browser, every client has every message once and in order, though its server is killed
// and started again, twice, and messages are published all the time. One that forgets its cursor does not.
func TestLiveBrowser(t *testing.T) {
	if !*live {
		t.Skip("needs chromium: run with -live")
	}
	transports := hop1.Transports()
	s := newSite(t)
	browser := browse(t, "http://"+s.addr+"/")
	for _, transport := range transports {
		join(t, browser, transport, transport, true)
	}
	join(t, browser, "forgetful", "ws", false)
	connected := func(times int) func(map[string]*session) bool {
		return func(all map[string]*session) bool {
			for _, c := range all {
				if c.Connects < times {
					return false
				}
			}
			return len(all) == len(transports)+1
		}
	}
	await(t, browser, connected(1))
	s.publish(20)
	for life := range 2 {
		s.publish(5) // some of which are on their way when the server dies
		s.kill()
		s.publish(20)
		s.start()
		await(t, browser, connected(life+2))
		s.publish(20)
	}
	last := s.ids[len(s.ids)-1]
	all := await(t, browser, func(all map[string]*session) bool {
		for _, c := range all {
			if !slices.Contains(c.Got, last) {
				return false
			}
		}
		return true
	})
	for _, transport := range transports {
		require.NoError(t, all[transport].verdict(s.ids), transport)
	}
	require.Error(t, all["forgetful"].verdict(s.ids), "without resuming, the outages cost messages")
}

// Goal: the browser has the limits that package browser gives it: six connections to an origin, more WebSockets
// than that, and an EventSource that ends for ever when it is answered with 404.
func TestLiveBrowserLimits(t *testing.T) {
	if !*live {
		t.Skip("needs chromium: run with -live")
	}
	s := newSite(t)
	browser := browse(t, "http://"+s.addr+"/")
	join(t, browser, "gone", "gone", true)
	await(t, browser, func(all map[string]*session) bool {
		return slices.Equal(all["gone"].Errors, []string{"the EventSource gave up"})
	})
	const most = 6
	for i := range most + 1 {
		join(t, browser, fmt.Sprintf("ws %d", i), "ws", true)
		join(t, browser, fmt.Sprintf("sse %d", i), "sse", true)
	}
	open := func(all map[string]*session, transport string) (n int) {
		for i := range most + 1 {
			n += all[fmt.Sprintf("%s %d", transport, i)].Connects
		}
		return n
	}
	await(t, browser, func(all map[string]*session) bool { return open(all, "sse") >= most && open(all, "ws") > most })
	time.Sleep(500 * time.Millisecond) // a seventh would have opened long before
	all := await(t, browser, func(map[string]*session) bool { return true })
	require.Equal(t, most, open(all, "sse"))
	require.Equal(t, most+1, open(all, "ws"))
}
