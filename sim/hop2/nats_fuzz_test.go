package hop2

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/twohop/twohop/model"
)

// Whatever a server sends: no panic, nothing lost, and nothing made up.
func FuzzNATSOp(f *testing.F) {
	f.Add([]byte("INFO {}\r\nMSG a.b 7 3\r\nabc\r\nHMSG a 8 r 4 5\r\nNATS\n\r\nPING\r\n"))
	f.Add([]byte("MSG a 1 99999999999\r\n"))
	f.Add([]byte("MSG a 0 1\r\nx\r\n"))
	f.Add([]byte("MSG a 1 2\r\nabcd"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		r := bufio.NewReader(bytes.NewReader(sent))
		var carried []byte
		for {
			op, err := readNATSOp(r, 1000)
			if err != nil {
				break
			}
			require.NotEmpty(t, op.text)
			carried = append(carried, op.text...)
		}
		require.True(t, bytes.HasPrefix(sent, carried))
	})
}

// What is wrong with an operation is said, with the operation.
func TestNATSOpErrors(t *testing.T) {
	for sent, want := range map[string]string{
		"MSG a\r\n":               "2 words",
		"MSG a x 1\r\nx\r\n":      `the subscription "x"`,
		"MSG a 1 -1\r\n":          "a size of",
		"MSG a 1 2000\r\n":        "allowed are 1000 bytes",
		"MSG a 1 1\r\nxyz":        "does not end",
		"HMSG a 1 2 3 4 5 6\r\n":  "8 words",
		"HMSG a 1 r 12 1001\r\n.": "allowed are 1000 bytes",
	} {
		_, err := readNATSOp(bufio.NewReader(strings.NewReader(sent)), 1000)
		require.ErrorContains(t, err, want, "%q", sent)
		require.NotErrorIs(t, err, io.EOF)
	}
}

// Whatever a consumer delivers.
func FuzzDecodeJet(f *testing.F) {
	f.Add("ns.log.r.e", "$JS.ACK.s.c.1.2.3.4.5", "", "")
	f.Add("ns.log.r.e", "$JS.ACK.domain.hash.s.c.1.2.3.4.5.x", "", "")
	f.Add("_INBOX.x.d.c", "", "100", "7")
	f.Add("_INBOX.x.d.c", "", "100", "")
	f.Fuzz(func(t *testing.T, subject, reply, status, last string) {
		m := &nats.Msg{Subject: subject, Reply: reply, Header: nats.Header{}, Sub: &nats.Subscription{Subject: "_INBOX.x.d.c"}}
		m.Header.Set("Status", status)
		m.Header.Set("Nats-Last-Consumer", last)
		item, err := decodeJet(m)
		if err != nil {
			return
		}
		require.Equal(t, "c", item.name)
		require.True(t, status == "100" || item.stream > 0 && item.consumer > 0)
	})
}

// Whatever JetStream answers: no panic, and what is accepted is sound.
func FuzzJetStreamInfo(f *testing.F) {
	f.Add([]byte(`{"config":{"subjects":["twohop.log.r.e1"]},"state":{"first_seq":3,"last_seq":9}}`))
	f.Add([]byte(`{"error":{"code":404,"err_code":10059,"description":"stream not found"}}`))
	f.Add([]byte(`{"config":{"subjects":["twohop.log.r."]},"state":{"first_seq":9,"last_seq":3}}`))
	s := &JetStream{cfg: Config{Namespace: "twohop"}, epochs: map[string]string{}}
	f.Fuzz(func(t *testing.T, reply []byte) {
		p, err := s.decodeInfo("r", reply)
		if err != nil {
			require.True(t, natsPermanent(err) || errors.As(err, new(*apiError)), "%v", err)
			return
		}
		require.NotZero(t, p.first)
		require.LessOrEqual(t, p.first, p.last+1)
		_, err = model.ParseCursor(p.epoch + ":0")
		require.NoError(t, err)
	})
}

// Whatever is asked of the sequencer, it answers with a position or with what is wrong; and it never gives a
// position twice.
func FuzzSequencer(f *testing.F) {
	f.Add("P"+encodeRecord(model.Message{ID: "m"}), "E")
	f.Add("", "Px")
	f.Fuzz(func(t *testing.T, first, second string) {
		s := &sequencer{cfg: &Config{Remember: 10}, epoch: "e", rooms: map[string]*sequencedRoom{}}
		seq := uint64(0)
		for _, request := range []string{first, second} {
			answer, announce := s.handle("r", []byte(request))
			at, err := decodeSequenced([]byte(answer))
			if err != nil {
				require.ErrorContains(t, err, "the sequencer says")
				require.Empty(t, announce)
				continue
			}
			if announce == "" {
				require.LessOrEqual(t, at.Seq, seq)
				continue
			}
			item, err := decodeLive("r", announce)
			require.NoError(t, err)
			require.Equal(t, at, item.at)
			if item.message != nil {
				seq++
				require.Equal(t, seq, at.Seq)
			}
		}
	})
}

// The sequencer's answers, one by one.
func TestSequencerRefuses(t *testing.T) {
	s := &sequencer{cfg: &Config{Remember: 1}, epoch: "e", rooms: map[string]*sequencedRoom{}}
	for request, want := range map[string]string{"": "an empty request", "X": "an unknown request 'X'", "P{}": "the id"} {
		answer, _ := s.handle("r", []byte(request))
		_, err := decodeSequenced([]byte(answer))
		require.ErrorIs(t, err, errReply)
		require.ErrorContains(t, err, want)
	}
	for _, bad := range []string{"", "e", "e:x", ":1"} {
		_, err := decodeSequenced([]byte(bad))
		require.ErrorIs(t, err, errReply, "%q", bad)
	}
	publish := func(id string) string {
		answer, _ := s.handle("r", []byte("P"+encodeRecord(model.Message{ID: id})))
		return answer
	}
	require.Equal(t, []string{"e:1", "e:1", "e:2", "e:3"}, []string{publish("a"), publish("a"), publish("b"), publish("a")},
		"memory is bounded by Remember")
}

// A call that is put at the very end of a pause is not forgotten.
func TestNATSCallAtTheEndOfAPause(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		cfg := n.config()
		cfg.RetryMin, cfg.RetryMax = 50*time.Millisecond, 50*time.Millisecond
		require.NoError(t, cfg.validate())
		l := newNATSLink(&cfg)
		defer l.close()
		for i := range 40 { // around the end of each pause, which lasts RetryMin
			_, err := l.do(within(t, patience), &natsCall{room: "r", subject: "s"})
			require.ErrorContains(t, err, "connect", "call %d", i)
			time.Sleep(cfg.RetryMin - gatherFor + time.Duration(i-20)*10*time.Microsecond)
		}
	})
}
