package hop2

// A [Redis] without a log is a lossyHost.

func (r *Redis) label() string         { return r.name }
func (r *Redis) config() *Config       { return &r.cfg }
func (r *Redis) done() <-chan struct{} { return r.ctx.Done() }

func (r *Redis) askCount(room string) <-chan answer {
	c := r.countCall(room)
	r.calls.put(c)
	return c.answer
}
