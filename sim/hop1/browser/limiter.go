package browser

import (
	"io"
	"net/http"
	"sync"
)

// limiter bounds how many exchanges with one origin there are at once, each from its request until its
// response's body is closed.
type limiter struct {
	most int

	mu      sync.Mutex // never held while waiting
	origins map[string]chan struct{}
}

func newLimiter(most int) *limiter { return &limiter{most: most, origins: map[string]chan struct{}{}} }

// places has one entry a place of the origin that is taken.
func (l *limiter) places(r *http.Request) chan struct{} {
	origin := r.URL.Scheme + "://" + r.URL.Host
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.origins[origin] == nil {
		l.origins[origin] = make(chan struct{}, l.most)
	}
	return l.origins[origin]
}

// roundTrip waits for a place, in order of arrival.
func (l *limiter) roundTrip(rt http.RoundTripper, r *http.Request) (*http.Response, error) {
	places := l.places(r)
	select {
	case places <- struct{}{}:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	leave := sync.OnceFunc(func() { <-places })
	resp, err := rt.RoundTrip(r)
	if err != nil {
		leave()
		return nil, err
	}
	if conn, ok := resp.Body.(io.ReadWriteCloser); ok {
		resp.Body = connBody{conn, leave}
	} else {
		resp.Body = body{resp.Body, leave}
	}
	return resp, nil
}

// body is a response's body that gives its place back when it is closed.
type body struct {
	io.ReadCloser
	leave func()
}

func (b body) Close() error {
	defer b.leave()
	return b.ReadCloser.Close()
}

// connBody is the same for the connection that the body is after a switch of protocols.
type connBody struct {
	io.ReadWriteCloser
	leave func()
}

func (b connBody) Close() error {
	defer b.leave()
	return b.ReadWriteCloser.Close()
}
