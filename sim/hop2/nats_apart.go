package hop2

import (
	"bytes"
	"io"
	"strconv"
	"time"
)

// A server answers a call to JetStream's API on the goroutine that reads the connection, but has a stream's own
// goroutine take messages in. Of a message and a call that come in one packet, whether the call's answer, or the
// consumer that it makes, knows of the message is the scheduler's choice. So the one that comes later is held back until
// the other has been dealt with.

// apartDelay is for how long, and a nanosecond more for each connection before: after a pause of the server, packets of
// all connections come at one instant. It is no whole number of microseconds, as the other delays of this package are:
// nothing else is due when it is over.
const apartDelay = 700 * time.Nanosecond

// natsLine is how long an operation's first line may be, and more than a server takes.
const natsLine = 64 << 10

// apiPrefix begins the subjects of JetStream's API.
const apiPrefix = "$JS.API."

// carryApart carries what a client sends to its server, with a delay where it is needed, until either end fails.
func carryApart(to io.Writer, from io.Reader, delay time.Duration) error {
	var held, chunk []byte // what is yet to be carried, and what one read gave
	var called bool        // what was carried last is a call
	var at time.Time       // and when that was
	chunk = make([]byte, 32<<10)
	for {
		n, err := from.Read(chunk)
		held = append(held, chunk[:n]...)
		carried, next := 0, 0
		write := func() error {
			if carried == next {
				return nil
			}
			_, err := to.Write(held[carried:next])
			carried = next
			return err
		}
		for {
			size, subject := natsRequest(held[next:])
			if size == 0 {
				break
			}
			if call := bytes.HasPrefix(subject, []byte(apiPrefix)); len(subject) > 0 {
				if call != called && at.Equal(time.Now()) {
					if err := write(); err != nil {
						return err
					}
					time.Sleep(delay)
				}
				called, at = call, time.Now()
			}
			next += size
		}
		if err != nil {
			next = len(held) // all that there will be
		}
		if err := write(); err != nil {
			return err
		}
		held = append(held[:0], held[carried:]...)
		if err != nil {
			return err
		}
	}
}

// natsRequest finds the first operation of a client: its size, 0 if it is not all there, and the subject that it
// publishes to, none if it does something else. What makes no sense is for the server to refuse.
func natsRequest(sent []byte) (size int, subject []byte) {
	end := bytes.IndexByte(sent, '\n') + 1
	if end == 0 && len(sent) > natsLine {
		return len(sent), nil
	}
	if end == 0 {
		return 0, nil
	}
	words := bytes.Fields(sent[:end])
	if len(words) < 3 || string(words[0]) != "PUB" && string(words[0]) != "HPUB" {
		return end, nil
	}
	payload, err := strconv.ParseUint(string(words[len(words)-1]), 10, 31)
	if err != nil || payload > natsPayload {
		return end, nil
	}
	if end += int(payload) + len("\r\n"); end > len(sent) {
		return 0, nil
	}
	return end, words[1]
}
