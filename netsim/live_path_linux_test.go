package netsim_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is a clock that all processes of one machine share.
func monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // it cannot fail on Linux
	}
	return time.Duration(ts.Nano())
}

// openTun makes the network device of the network namespace that the process is in, brings it up, and
// returns the file through which its packets pass.
func openTun(address string) (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, fmt.Errorf("/dev/net/tun: %w", err)
	}
	if err := configureTun(fd, address); err != nil {
		return 0, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

func configureTun(fd int, address string) (err error) {
	control, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(control)) }()
	// A queue that no burst of these tests fills: what gets lost shall get lost on the path.
	const queue = 10_000
	for _, step := range []struct {
		what string
		fd   int
		req  uint
		set  func(*unix.Ifreq) error
	}{
		{"TUNSETIFF", fd, unix.TUNSETIFF, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI); return nil }},
		{"SIOCSIFTXQLEN", control, unix.SIOCSIFTXQLEN, func(r *unix.Ifreq) error { r.SetUint32(queue); return nil }},
		{"SIOCSIFMTU", control, unix.SIOCSIFMTU, func(r *unix.Ifreq) error { r.SetUint32(1500); return nil }},
		{"SIOCSIFADDR", control, unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(net.ParseIP(address).To4()) }},
		{"SIOCSIFNETMASK", control, unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr([]byte{255, 255, 255, 0}) }},
		{"SIOCSIFFLAGS", control, unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }},
	} {
		request, err := unix.NewIfreq("tun0")
		if err == nil {
			err = step.set(request)
		}
		if err == nil {
			err = unix.IoctlIfreq(step.fd, step.req, request)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// livePath forwards packets between two TUN devices, with a delay and with loss, both ways. It owns both
// files.
type livePath struct {
	delay   time.Duration
	fds     [2]int
	loss    [2]atomic.Uint64 // threshold: a draw of 32 bits below it is a loss
	ended   atomic.Bool
	running sync.WaitGroup
	ways    [2]liveWay
}

// liveWay is one direction. Its goroutine owns it but for what mu guards.
type liveWay struct {
	queue []livePacket // in order of time

	mu   sync.Mutex
	late []time.Duration // how late each packet left
	err  error
}

// livePacket is a packet and when it is due at the other end.
type livePacket struct {
	due  time.Duration
	data []byte
}

// startPath starts to forward, without loss.
func startPath(a, b int, delay time.Duration) *livePath {
	p := &livePath{delay: delay, fds: [2]int{a, b}}
	for i := range p.ways {
		p.running.Go(func() {
			// A thread of its own, ahead of all others, wakes up on time even on a busy machine. It is
			// not unlocked, so that it ends with the goroutine.
			runtime.LockOSThread()
			err := schedule(unix.SCHED_FIFO, 1)
			if err == nil {
				err = p.forward(i)
			}
			if err != nil {
				p.ways[i].mu.Lock()
				defer p.ways[i].mu.Unlock()
				p.ways[i].err = err
			}
		})
	}
	return p
}

// schedule chooses the scheduling policy of the calling thread and of what it starts.
func schedule(policy, priority uint32) error {
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Priority: priority}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		return fmt.Errorf("scheduling policy %d: %w", policy, err)
	}
	return nil
}

// setLoss sets the probability that a packet gets lost, in either direction.
func (p *livePath) setLoss(probability float64) {
	for i := range p.loss {
		p.loss[i].Store(uint64(probability * (1 << 32)))
	}
}

// lateness takes how late packets were since it was last asked, in ascending order, and what went wrong.
func (p *livePath) lateness() ([]time.Duration, error) {
	var late []time.Duration
	var errs []error
	for i := range p.ways {
		w := &p.ways[i]
		w.mu.Lock()
		late, errs = append(late, w.late...), append(errs, w.err)
		w.late = nil
		w.mu.Unlock()
	}
	slices.Sort(late)
	return late, errors.Join(errs...)
}

// close ends forwarding and removes the devices.
func (p *livePath) close() error {
	p.ended.Store(true)
	p.running.Wait()
	return errors.Join(unix.Close(p.fds[0]), unix.Close(p.fds[1]))
}

// forward is one direction: it waits for the next packet to come or to be due, whichever is first.
func (p *livePath) forward(way int) error {
	from, to, w := p.fds[way], p.fds[1-way], &p.ways[way]
	luck := rand.New(rand.NewPCG(7, uint64(way)))
	const idle = 20 * time.Millisecond // how long it takes to notice that it shall end
	buffer := make([]byte, 1<<16)
	for !p.ended.Load() {
		wait := idle
		if len(w.queue) > 0 {
			wait = min(wait, max(w.queue[0].due-monotonic(), 0))
		}
		timeout := unix.NsecToTimespec(int64(wait))
		if _, err := unix.Ppoll([]unix.PollFd{{Fd: int32(from), Events: unix.POLLIN}}, &timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("poll: %w", err)
		}
		if err := w.take(from, buffer, p.delay, &p.loss[way], luck); err != nil {
			return err
		}
		if err := w.pass(to); err != nil {
			return err
		}
	}
	return nil
}

// take queues the packets that have come. A packet's time counts from when it is read, so that a
// forwarder that was late for one is not late for those after it.
func (w *liveWay) take(from int, buffer []byte, delay time.Duration, loss *atomic.Uint64, luck *rand.Rand) error {
	const most = 64 // before it looks again for what is due
	for range most {
		n, err := unix.Read(from, buffer)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("read: %w", err)
		}
		const ipv4 = 4
		if n == 0 || buffer[0]>>4 != ipv4 || uint64(luck.Uint32()) < loss.Load() {
			continue // IPv6 looks for routers, of which there are none
		}
		w.queue = append(w.queue, livePacket{monotonic() + delay, slices.Clone(buffer[:n])})
	}
	return nil
}

// pass hands over the packets that are due.
func (w *liveWay) pass(to int) error {
	n := 0
	for ; n < len(w.queue) && w.queue[n].due <= monotonic(); n++ {
		if _, err := unix.Write(to, w.queue[n].data); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		w.mu.Lock()
		w.late = append(w.late, monotonic()-w.queue[n].due)
		w.mu.Unlock()
	}
	w.queue = slices.Delete(w.queue, 0, n)
	return nil
}
