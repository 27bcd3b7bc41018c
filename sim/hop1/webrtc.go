package hop1

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// The WebRTC transport (RFC 8831): frames are text messages of a reliable, ordered data channel; empty binary
// messages are the heartbeats of both sides. The request is a WebSocket, over which both signal until
// their channels are open.

// frameChannel is the one channel of a pair.
var frameChannel = []ChannelConfig{{Label: "frames"}}

// serverMessage is the largest message that a server accepts: clients send heartbeats only, which are empty.
const serverMessage = 1024

// serveWebRTC streams one subscription. A client that falls silent is found within IdleTimeout; one whose pair
// does not open is sent away after IdleTimeout and WriteTimeout together.
func (s *server) serveWebRTC(w http.ResponseWriter, r *http.Request, sub *opened) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	signals := newSignalling(conn)
	defer signals.close()
	opening, cancel := context.WithTimeoutCause(r.Context(), s.cfg.IdleTimeout+s.cfg.WriteTimeout, errNoPair)
	pair, err := s.cfg.WebRTC.open(opening, signals, false, serverMessage, frameChannel)
	cancel()
	if err != nil {
		bye := frame{Type: frameGoodbye, Reason: reasonNoPair}
		if r.Context().Err() != nil {
			bye.Reason, bye.Retry = reasonDraining, s.cfg.RetryHint
		}
		signals.part(bye, s.cfg.WriteTimeout)
		return
	}
	s.streamWebRTC(r.Context(), pair, signals, sub)
}

var errNoPair = errors.New(reasonNoPair)

const reasonNoPair = "no peer connection"

// streamWebRTC serves a pair that is open, and closes it.
func (s *server) streamWebRTC(request context.Context, pair *Pair, signals *signalling, sub *opened) {
	channel, h := pair.Channels[0], newHeard()
	// Writing outlives the request's context, so that there is still a channel for the goodbye.
	live, hangUp := context.WithCancel(context.WithoutCancel(request))
	ctx, end := context.WithCancelCause(request)
	var helpers sync.WaitGroup
	helpers.Go(func() {
		listenWebRTC(channel, h, end)
		hangUp()
	})
	helpers.Go(func() {
		if err := awaitSilence(ctx, h, s.cfg.IdleTimeout); err != nil {
			end(fmt.Errorf("%w: %w", errGone, err))
			hangUp()
		}
	})
	helpers.Go(func() {
		select {
		case <-pair.Signalled():
			signals.close()
		case <-live.Done():
		}
	})

	send := func(frames []frame) error { return sendFrames(live, channel, frames, s.cfg.WriteTimeout) }
	beat := func() error { return channel.Send(live, nil, false) }
	err := s.pump(ctx, sub, send, beat)
	end(err)
	if bye, ok := s.farewell(ctx, err); ok {
		s.partWebRTC(live, channel, bye)
	}
	hangUp()
	_ = pair.Close() // nobody is left to be told of an error
	helpers.Wait()
}

// listenWebRTC takes heartbeats until the pair is closed. Anything else that a client sends is dropped, and
// ends the service.
func listenWebRTC(c *Channel, h *heard, end context.CancelCauseFunc) {
	for {
		message, _, err := c.Receive()
		if err != nil {
			end(fmt.Errorf("%w: %w", errGone, err))
			return
		}
		h.mark()
		if len(message) > 0 {
			end(errSpoke)
		}
	}
}

// awaitSilence waits until the peer has been silent for idle, which gives errSilent, or ctx ends, which gives
// nil.
func awaitSilence(ctx context.Context, h *heard, idle time.Duration) error {
	for {
		rest := time.Until(h.deadline(idle))
		if rest <= 0 {
			return silent(idle)
		}
		if pause(ctx, rest) != nil {
			return nil
		}
	}
}

// sendFrames sends each frame as a text message, for which it has the timeout.
func sendFrames(ctx context.Context, c *Channel, frames []frame, timeout time.Duration) error {
	for _, f := range frames {
		b, err := encodeFrame(f)
		if err != nil {
			return err
		}
		accept, cancel := context.WithTimeout(ctx, timeout)
		err = c.Send(accept, b, true)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// partWebRTC says goodbye, and waits until the client has it, for at most WriteTimeout.
func (s *server) partWebRTC(ctx context.Context, c *Channel, bye frame) {
	if sendFrames(ctx, c, []frame{bye}, s.cfg.WriteTimeout) != nil {
		return // the client left meanwhile
	}
	flush, cancel := context.WithTimeout(ctx, s.cfg.WriteTimeout)
	defer cancel()
	_ = c.Flush(flush) // fails only if the client has left, or takes nothing any more
}

// webrtcStream is the client's side. A goroutine receives, since a channel cannot be received from with a
// context; next takes what it found.
type webrtcStream struct {
	pair    *Pair
	signals *signalling
	heard   *heard
	idle    time.Duration
	frames  chan parsed
	ending  bool // next has seen that the pair is broken
	cancel  context.CancelFunc
	helpers sync.WaitGroup
}

func dialWebRTC(ctx context.Context, cfg *ClientConfig, from claim) (stream, error) {
	conn, resp, err := websocket.Dial(ctx, cfg.roomURL("webrtc", from), &websocket.DialOptions{HTTPClient: cfg.HTTP, HTTPHeader: cfg.Header})
	if err != nil {
		if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
			return nil, refusal(resp)
		}
		return nil, err
	}
	signals := newSignalling(conn)
	pair, err := cfg.WebRTC.open(ctx, signals, true, cfg.MaxFrame, frameChannel)
	if err != nil {
		signals.close()
		return nil, err
	}
	live, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &webrtcStream{
		pair: pair, signals: signals, heard: newHeard(), idle: cfg.IdleTimeout,
		frames: make(chan parsed), cancel: cancel,
	}
	s.helpers.Go(func() { s.receive(live) })
	s.helpers.Go(func() {
		for pause(live, cfg.Heartbeat) == nil {
			if pair.Channels[0].Send(live, nil, false) != nil {
				return // the receiving goroutine knows why
			}
		}
	})
	s.helpers.Go(func() {
		select {
		case <-pair.Signalled():
			signals.close()
		case <-live.Done():
		}
	})
	return s, nil
}

// receive hands over every frame, then the error that ended the channel.
func (s *webrtcStream) receive(ctx context.Context) {
	for {
		var p parsed
		message, text, err := s.pair.Channels[0].Receive()
		switch {
		case err != nil:
			p.err = fmt.Errorf("channel ended without goodbye: %w", err)
		case !text && len(message) == 0:
			s.heard.mark()
			continue
		case !text:
			p.err = errors.New("protocol: a binary message")
		default:
			s.heard.mark()
			p.frame, p.err = decodeFrame(message)
		}
		select {
		case s.frames <- p:
		case <-ctx.Done():
			return
		}
		if p.err != nil {
			return
		}
	}
}

func (s *webrtcStream) next(ctx context.Context) (frame, error) {
	t := time.NewTimer(time.Until(s.heard.deadline(s.idle)))
	defer t.Stop()
	for {
		select {
		case p := <-s.frames:
			return p.frame, p.err
		case <-ctx.Done():
			return frame{}, ctx.Err()
		case <-s.pair.Broken():
			return s.last(ctx)
		case <-t.C:
			rest := time.Until(s.heard.deadline(s.idle))
			if rest <= 0 {
				return frame{}, silent(s.idle)
			}
			t.Reset(rest)
		}
	}
}

// last gives what came before the pair broke, and then that it did: a server closes it right after its goodbye, and
// a client that was busy meanwhile finds both.
func (s *webrtcStream) last(ctx context.Context) (frame, error) {
	if !s.ending {
		s.ending = true
		s.pair.Channels[0].receiveNoMore()
	}
	select {
	case p := <-s.frames:
		if p.err != nil {
			p.err = fmt.Errorf("%w: %w", errPairBroken, p.err)
		}
		return p.frame, p.err
	case <-ctx.Done():
		return frame{}, ctx.Err()
	}
}

func (s *webrtcStream) close() {
	s.cancel()
	_ = s.pair.Close() // the connection is given up anyway
	s.signals.close()
	s.helpers.Wait()
}
