package hop2

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/twohop/twohop/model"
)

// Goal: an answer that was under way when a room's log began to be read anew is not taken for its beginning: the IDs
// before it would be forgotten, and could be appended again.
func TestKafkaRoomDropsStaleAnswers(t *testing.T) {
	log := newKafkaLog(100, 100)
	rm := &kafkaRoom{name: "r", log: log, changed: make(chan struct{})}
	var records []*kgo.Record
	add := func(e kafkaEntry) {
		r := &kgo.Record{Offset: int64(len(records)), Value: e.encode()}
		records = append(records, r)
		rm.take(fetched{from: r.Offset, records: []*kgo.Record{r}})
	}
	add(kafkaEntry{Epoch: "e"})
	for i := range 3 {
		add(log.entry(note("r", i+1)))
	}
	require.Equal(t, model.Cursor{Epoch: "e", Seq: 3}, model.Cursor{Epoch: log.epoch, Seq: log.seq})

	log.restart(0)
	rm.take(fetched{from: 3, records: records[3:]})
	require.Zero(t, log.next, "what was asked for before is no beginning")
	require.False(t, log.known)
	rm.take(fetched{from: 0, records: records})
	require.Equal(t, uint64(3), log.seq)
	require.Len(t, log.ids, 3)
	rm.take(fetched{from: 2, records: records[2:]})
	require.Equal(t, uint64(3), log.seq, "what is known already does no harm")
}
