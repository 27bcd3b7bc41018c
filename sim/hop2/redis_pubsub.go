package hop2

import "github.com/twohop/twohop/model"

// A [Redis] without a log is a lossyHost.

func (r *Redis) label() string         { return r.name }
func (r *Redis) config() *Config       { return &r.cfg }
func (r *Redis) done() <-chan struct{} { return r.ctx.Done() }

func (r *Redis) askCount(room string, known model.Bookmark) <-chan answer {
	c := r.countCall(room, known)
	r.calls.put(c)
	return c.answer
}
