package tcp

import (
	"encoding/binary"
	"time"
)

// messages sends n messages of 200 bytes, one every 20 ms, and returns their latencies.
func messages(cc Congestion, loss float64, seed uint64, n int) []time.Duration {
	s := mustSettings(Config{Congestion: cc})
	w := newWorld(s, s, seed)
	w.unchecked = true
	w.links[0].loss, w.links[1].loss = loss, loss
	w.open()
	client, server := w.ends[0], w.ends[1]
	w.runUntil(time.Hour, func() bool { return client.c.State() == Established })

	const size = 200
	var got []byte
	buf := make([]byte, 64<<10)
	latency := make([]time.Duration, 0, n)
	sentAt := make([]time.Duration, n)
	server.user = func() {
		for {
			k := server.c.Read(buf)
			if k == 0 {
				break
			}
			got = append(got, buf[:k]...)
		}
		for len(got) >= size {
			i := binary.BigEndian.Uint32(got)
			latency = append(latency, w.now-sentAt[i])
			got = got[size:]
		}
	}
	start := w.now + 10*time.Millisecond
	var queued []byte
	client.user = func() {
		queued = queued[client.c.Write(queued):]
	}
	for i := range n {
		w.at(start+time.Duration(i)*20*time.Millisecond, func() {
			sentAt[i] = w.now
			msg := make([]byte, size)
			binary.BigEndian.PutUint32(msg, uint32(i))
			queued = append(queued, msg...)
			client.settle()
		})
	}
	w.runUntil(time.Hour, func() bool { return len(latency) == n })
	return latency
}

// fetched is what a GET took.
type fetched struct {
	connect, firstByte, total time.Duration // firstByte from the request, total from the dial
}

// get fetches a response of so many bytes on a fresh connection.
func get(cc Congestion, loss float64, seed uint64, size int) fetched {
	s := mustSettings(Config{Congestion: cc})
	w := newWorld(s, s, seed)
	w.unchecked = true
	w.links[0].loss, w.links[1].loss = loss, loss
	client, server := w.ends[0], w.ends[1]
	w.open()
	var f fetched
	if !w.runUntil(time.Hour, func() bool { return client.c.State() == Established }) {
		return f
	}
	f.connect = w.now
	var requested, requestRead int
	buf := make([]byte, 32<<10)
	left := size + 150 // headers
	server.user = func() {
		requestRead += server.c.Read(buf)
		if requestRead < 90 {
			return
		}
		for left > 0 {
			k := server.c.Write(buf[:min(left, len(buf))])
			left -= k
			if k == 0 {
				break
			}
		}
	}
	read := 0
	client.user = func() {
		if requested == 0 {
			requested = client.c.Write(buf[:90])
		}
		for {
			k := client.c.Read(buf)
			if k == 0 {
				break
			}
			if read == 0 {
				f.firstByte = w.now - f.connect
			}
			read += k
		}
	}
	client.settle()
	w.runUntil(time.Hour, func() bool { return read >= size+150 })
	f.total = w.now
	return f
}
