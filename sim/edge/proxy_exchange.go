package edge

import (
	"io"
	"net/http"
	"time"
)

// exchange is a request and its response on their way through a [Proxy].
type exchange struct {
	sticky  string     // the backend that the client's cookie names
	tried   []*backend // those that failed
	backend *backend   // the one that has the request; nil if none has
	idle    time.Duration
	timer   *time.Timer // cancels the exchange when it has been silent for idle; nil if it may be
}

// exchangeKey is the key of the exchange in its request's context.
type exchangeKey struct{}

func exchangeOf(r *http.Request) *exchange { return r.Context().Value(exchangeKey{}).(*exchange) }

// stir says that the exchange is not silent.
func (x *exchange) stir() {
	if x.timer != nil {
		x.timer.Reset(x.idle)
	}
}

// attempt is the request as it goes to the exchange's backend. Its body stays open if that fails.
func (x *exchange) attempt(r *http.Request) *http.Request {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host = "http", x.backend.addr
	if r.Body != nil {
		out.Body = &requestBody{r.Body, r.ContentLength, x}
	}
	return out
}

// requestBody is a request's body that stirs its exchange. Closing it is the reverse proxy's business.
//
// It knows its end without asking: net/http closes a body as soon as the response begins, and a backend
// that has got all of it may answer before the transport has looked for more, which would then be an
// error that costs the response.
type requestBody struct {
	r    io.Reader
	left int64 // bytes to come; negative if unknown
	x    *exchange
}

func (b *requestBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.r.Read(p)
	b.x.stir()
	if b.left > 0 {
		b.left -= min(b.left, int64(n))
	}
	return n, err
}

func (b *requestBody) Close() error { return nil }

// watch has what comes and goes with the response stir the exchange. The body of a switch of protocols
// is the connection.
func (x *exchange) watch(resp *http.Response) {
	if x.timer == nil {
		return
	}
	if conn, ok := resp.Body.(io.ReadWriteCloser); ok {
		resp.Body = connBody{conn, x}
		return
	}
	resp.Body = responseBody{resp.Body, x}
}

// responseBody is a response's body that stirs its exchange.
type responseBody struct {
	io.ReadCloser
	x *exchange
}

func (b responseBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.x.stir()
	return n, err
}

// connBody is a connection to a backend that has switched protocols.
type connBody struct {
	io.ReadWriteCloser
	x *exchange
}

func (b connBody) Read(p []byte) (int, error) {
	n, err := b.ReadWriteCloser.Read(p)
	b.x.stir()
	return n, err
}

func (b connBody) Write(p []byte) (int, error) {
	b.x.stir()
	return b.ReadWriteCloser.Write(p)
}

// CloseWrite passes on that the client will send no more; the connection goes if it cannot.
func (b connBody) CloseWrite() error {
	if c, ok := b.ReadWriteCloser.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return b.Close()
}

// heldResponse holds a response back until there is more of it than its limit. What it has let go it has
// flushed, and what comes after that is held again.
type heldResponse struct {
	http.ResponseWriter
	limit int
	held  []byte
	open  bool // the server asked not to be held back
	all   bool // what the server asks for does not matter
}

func (h *heldResponse) WriteHeader(status int) {
	h.open = h.open || !h.all && h.Header().Get("X-Accel-Buffering") == "no"
	h.ResponseWriter.WriteHeader(status)
}

func (h *heldResponse) Write(b []byte) (int, error) {
	if h.open {
		return h.ResponseWriter.Write(b)
	}
	h.held = append(h.held, b...)
	if len(h.held) <= h.limit {
		return len(b), nil
	}
	return len(b), h.release()
}

// release lets go what is held.
func (h *heldResponse) release() error {
	if len(h.held) == 0 {
		return nil
	}
	b := h.held
	h.held = h.held[:0]
	if _, err := h.ResponseWriter.Write(b); err != nil {
		return err
	}
	return http.NewResponseController(h.ResponseWriter).Flush()
}

// FlushError is what [http.ResponseController] calls. The reverse proxy flushes after every write.
func (h *heldResponse) FlushError() error {
	if h.open {
		return http.NewResponseController(h.ResponseWriter).Flush()
	}
	return nil
}

// Unwrap gives [http.ResponseController] all else that it asks for, such as the connection.
func (h *heldResponse) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// smallBuffers are what responses are copied by: a stream's messages are small, and a reverse proxy that is
// left to itself takes 32 KiB for each.
type smallBuffers struct{}

func (smallBuffers) Get() []byte { return make([]byte, 4<<10) }
func (smallBuffers) Put([]byte)  {}
