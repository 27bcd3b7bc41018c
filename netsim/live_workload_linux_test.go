package netsim_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// This file is the client and the server that run both on a real kernel and in simulation. They know
// nothing but package net's interfaces and a clock that both ends share.

// liveJob is what a client does: messages on several connections at once, and fetches on fresh ones.
type liveJob struct {
	Connections, Messages int
	Interval              time.Duration
	Small, Large          int    // how many fetches of each size
	Congestion            string // as Linux spells it
}

const (
	liveMessage  = 200 // bytes
	liveSmall    = 200
	liveLarge    = 1 << 20
	messagesPort = ":7001"
	fetchesPort  = ":7002"
	fetchStagger = 250 * time.Millisecond
	liveRequest  = 90 // bytes, of which the first 8 are the size of the response
)

// liveFetch is how long a fetch took: from the dial, and for the first byte from the request.
type liveFetch struct{ Connect, FirstByte, Total time.Duration }

// liveFetches is the client's result.
type liveFetches struct{ Small, Large []liveFetch }

// clock is the time on a clock that both ends share.
type clock func() time.Duration

// liveDial connects to a port of the server.
type liveDial func(port string) (net.Conn, error)

// runClient does a job, and returns when all has been sent and fetched.
func runClient(dial liveDial, now clock, job liveJob) (*liveFetches, error) {
	var all sync.WaitGroup
	errs := make([]error, job.Connections+job.Small+job.Large)
	for i := range job.Connections {
		// Connections don't send in the same instant.
		wait := job.Interval * time.Duration(i) / time.Duration(job.Connections)
		all.Go(func() { errs[i] = sendMessages(dial, now, job, wait) })
	}
	fetches := &liveFetches{Small: make([]liveFetch, job.Small), Large: make([]liveFetch, job.Large)}
	fetch := func(i int, into *liveFetch, size int) {
		all.Go(func() {
			time.Sleep(time.Duration(i) * fetchStagger)
			errs[job.Connections+i] = fetchOne(dial, now, size, into)
		})
	}
	for i := range fetches.Small {
		fetch(i, &fetches.Small[i], liveSmall)
	}
	for i := range fetches.Large {
		fetch(job.Small+i, &fetches.Large[i], liveLarge)
	}
	all.Wait()
	return fetches, errors.Join(errs...)
}

// sendMessages sends how many there will be, and then the messages, each with the time when it was sent.
func sendMessages(dial liveDial, now clock, job liveJob, wait time.Duration) (err error) {
	c, err := dial(messagesPort)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if _, err := c.Write(binary.BigEndian.AppendUint64(nil, uint64(job.Messages))); err != nil {
		return err
	}
	message := make([]byte, liveMessage)
	next := time.Now().Add(job.Interval + wait)
	for range job.Messages {
		time.Sleep(time.Until(next))
		next = next.Add(job.Interval)
		binary.BigEndian.PutUint64(message, uint64(now()))
		if _, err := c.Write(message); err != nil {
			return err
		}
	}
	_, err = io.ReadFull(c, message[:1]) // the receiver has everything
	return err
}

// receiveMessages is the other end of sendMessages. It returns how long each message took.
func receiveMessages(c net.Conn, now clock) ([]time.Duration, error) {
	var header [8]byte
	if _, err := io.ReadFull(c, header[:]); err != nil {
		return nil, err
	}
	count := binary.BigEndian.Uint64(header[:])
	if count > 1e6 {
		return nil, fmt.Errorf("the client announces %d messages", count)
	}
	latencies := make([]time.Duration, 0, count)
	message := make([]byte, liveMessage)
	for range count {
		if _, err := io.ReadFull(c, message); err != nil {
			return nil, err
		}
		latencies = append(latencies, now()-time.Duration(binary.BigEndian.Uint64(message)))
	}
	_, err := c.Write([]byte{1})
	return latencies, err
}

// fetchOne fetches a response of so many bytes on a fresh connection.
func fetchOne(dial liveDial, now clock, size int, f *liveFetch) (err error) {
	began := now()
	c, err := dial(fetchesPort)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	f.Connect = now() - began
	request := make([]byte, liveRequest)
	binary.BigEndian.PutUint64(request, uint64(size))
	if _, err := c.Write(request); err != nil {
		return err
	}
	response := make([]byte, 64<<10)
	for got := 0; got < size; {
		n, err := c.Read(response)
		if err != nil {
			return err
		}
		if got == 0 {
			f.FirstByte = now() - began - f.Connect
		}
		got += n
	}
	f.Total = now() - began
	return nil
}

// serveFetch is the other end of fetchOne.
func serveFetch(c net.Conn) error {
	request := make([]byte, liveRequest)
	if _, err := io.ReadFull(c, request); err != nil {
		return err
	}
	size := binary.BigEndian.Uint64(request)
	if size > liveLarge {
		return fmt.Errorf("the client asks for %d bytes", size)
	}
	_, err := c.Write(make([]byte, size))
	return err
}

// liveResult is what came of one connection that carried messages.
type liveResult struct {
	Latencies []time.Duration
	Err       string
}

// runServer serves both ports until their listeners are closed. What came of each connection that
// carried messages goes to received, which must have room for it.
func runServer(messages, fetches net.Listener, now clock, received chan<- liveResult) {
	var all sync.WaitGroup
	accept := func(l net.Listener, serve func(net.Conn)) {
		all.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return // it was closed
				}
				all.Go(func() {
					serve(c)
					_ = c.Close() // what was to be said has been answered by then
				})
			}
		})
	}
	accept(messages, func(c net.Conn) {
		latencies, err := receiveMessages(c, now)
		result := liveResult{Latencies: latencies}
		if err != nil {
			result.Err = err.Error()
		}
		received <- result
	})
	accept(fetches, func(c net.Conn) {
		_ = serveFetch(c) // the client sees it fail
	})
	all.Wait()
}
