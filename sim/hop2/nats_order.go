package hop2

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// JetStream has a goroutine for each consumer, and which of those that wake at one instant writes first is
// the scheduler's choice. So what a server with JetStream sends to a client at one instant is put in a
// canonical order on its way: by subscription, and for answers by subject. What comes of one subscription
// keeps its order.

// orderDelay is how long what is sent waits for the rest of its instant.
const orderDelay = time.Microsecond

// natsOp is one operation of the protocol, as a server sends it.
type natsOp struct {
	sid  uint64 // 0 if it is no message
	key  string // its place among those of its subscription
	text []byte
}

// readNATSOp reads one operation, whose payload has limit bytes at most.
func readNATSOp(r *bufio.Reader, limit int) (natsOp, error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return natsOp{}, err
	}
	op := natsOp{text: line}
	words := strings.Fields(string(line))
	if len(words) == 0 || words[0] != "MSG" && words[0] != "HMSG" {
		return op, nil
	}
	least := 4 // MSG subject sid [reply] size
	if words[0] == "HMSG" {
		least = 5 // HMSG subject sid [reply] headers size
	}
	if len(words) != least && len(words) != least+1 {
		return natsOp{}, fmt.Errorf("operation %.200q has %d words", line, len(words))
	}
	size, err := strconv.ParseUint(words[len(words)-1], 10, 31)
	if err != nil || size > uint64(limit) {
		return natsOp{}, fmt.Errorf("operation %.200q: a size of %.20q; allowed are %d bytes", line, words[len(words)-1], limit)
	}
	if op.sid, err = strconv.ParseUint(words[2], 10, 63); err != nil || op.sid == 0 {
		return natsOp{}, fmt.Errorf("operation %.200q: the subscription %.20q is no number from 1", line, words[2])
	}
	if words[0] == "MSG" && len(words) == least {
		op.key = words[1]
	}
	payload := make([]byte, size+2)
	if _, err := io.ReadFull(r, payload); err != nil {
		return natsOp{}, err
	}
	if !bytes.HasSuffix(payload, []byte("\r\n")) {
		return natsOp{}, fmt.Errorf("operation %.200q: the payload does not end where it should", line)
	}
	op.text = append(op.text, payload...)
	return op, nil
}

// carryInOrder carries what a server sends to its client, until either end fails.
func carryInOrder(to net.Conn, from io.Reader) error {
	ops := newGatherFor(orderDelay, func(a, b natsOp) int { return cmp.Or(cmp.Compare(a.sid, b.sid), strings.Compare(a.key, b.key)) })
	ended := make(chan error, 1)
	go func() {
		r := bufio.NewReader(from)
		for {
			op, err := readNATSOp(r, natsPayload)
			if err != nil {
				ended <- err
				return
			}
			ops.put(op)
		}
	}()
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		var out []byte
		for _, op := range ops.grab() {
			out = append(out, op.text...)
		}
		if len(out) > 0 {
			if _, err := to.Write(out); err != nil {
				return err
			}
			continue
		}
		var timer <-chan time.Time
		if at, ok := ops.due(); ok {
			t.Reset(time.Until(at))
			timer = t.C
		}
		select {
		case <-ops.wake:
		case <-timer:
		case err := <-ended:
			return err
		}
	}
}
