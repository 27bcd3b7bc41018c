package hop2

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The requests of the strategy kafka, one partition each: partition 0 of a topic.

// recordBatch encodes values as one batch of records (Kafka's protocol, "Record Batch", magic 2).
func recordBatch(values [][]byte, now time.Time) []byte {
	var records []byte
	for i, v := range values {
		r := kmsg.Record{OffsetDelta: int32(i), Value: v}
		body := r.AppendTo(nil)[1:] // all but the length, which is 0 and so one byte
		r.Length = int32(len(body))
		records = append(kbin.AppendVarint(records, r.Length), body...)
	}
	ms := now.UnixMilli()
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, LastOffsetDelta: int32(len(values) - 1), FirstTimestamp: ms, MaxTimestamp: ms,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(len(values)), Records: records,
	}
	const beforeLength, beforeAttributes = 12, 21 // bytes that the length, and the checksum, do not cover
	b.Length = int32(len(b.AppendTo(nil)) - beforeLength)
	b.CRC = int32(crc32.Checksum(b.AppendTo(nil)[beforeAttributes:], crc32.MakeTable(crc32.Castagnoli)))
	return b.AppendTo(nil)
}

// leaderRequest asks who leads a topic's partition.
func leaderRequest(topic string) *kmsg.MetadataRequest {
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &topic
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{t}
	return req
}

// decodeLeader gives the number of the broker that leads the partition of a topic, 0 or more.
func decodeLeader(resp kmsg.Response, topic string) (int, error) {
	r, ok := resp.(*kmsg.MetadataResponse)
	if !ok || len(r.Topics) != 1 {
		return 0, fmt.Errorf("%w: %T to a question for topic %s", errReply, resp, topic)
	}
	t := &r.Topics[0]
	if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
		return 0, err
	}
	if t.Topic == nil || *t.Topic != topic || len(t.Partitions) != 1 || t.Partitions[0].Partition != 0 {
		return 0, fmt.Errorf("%w: to a question for topic %s come %d partitions, or those of another; want partition 0", errReply, topic, len(t.Partitions))
	}
	if err := kerr.ErrorForCode(t.Partitions[0].ErrorCode); err != nil {
		return 0, err
	}
	if t.Partitions[0].Leader < 0 {
		return 0, kerr.LeaderNotAvailable
	}
	return int(t.Partitions[0].Leader), nil
}

// createRequest creates a topic with one partition, on as many brokers as the cluster has it by default.
func createRequest(topic string, timeout time.Duration) *kmsg.CreateTopicsRequest {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, 1, -1
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics, req.TimeoutMillis = []kmsg.CreateTopicsRequestTopic{t}, int32(timeout.Milliseconds())
	return req
}

// decodeCreated gives no error if a topic is there, whoever created it.
func decodeCreated(resp kmsg.Response, topic string) error {
	r, ok := resp.(*kmsg.CreateTopicsResponse)
	if !ok || len(r.Topics) != 1 || r.Topics[0].Topic != topic {
		return fmt.Errorf("%w: %T to the creation of topic %s, or of another", errReply, resp, topic)
	}
	if err := kerr.ErrorForCode(r.Topics[0].ErrorCode); !errors.Is(err, kerr.TopicAlreadyExists) {
		return err
	}
	return nil
}

// produceRequest appends values to a topic.
func produceRequest(topic string, values [][]byte, timeout time.Duration) *kmsg.ProduceRequest {
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = recordBatch(values, time.Now())
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.Partitions = topic, []kmsg.ProduceRequestTopicPartition{p}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.Topics = -1, int32(timeout.Milliseconds()), []kmsg.ProduceRequestTopic{t}
	return req
}

// produced gives the offset of the first value.
func produced(resp kmsg.Response) (int64, error) {
	r, ok := resp.(*kmsg.ProduceResponse)
	if !ok || len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
		return 0, fmt.Errorf("%w: %T to a produce request for one partition", errReply, resp)
	}
	p := r.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		return 0, err
	}
	if p.BaseOffset < 0 || p.BaseOffset == math.MaxInt64 {
		return 0, fmt.Errorf("%w: appended at offset %d", errReply, p.BaseOffset)
	}
	return p.BaseOffset, nil
}

// offsetRequest asks for the offset of the oldest record of a topic, or of the next one.
func offsetRequest(topic string, which int64) *kmsg.ListOffsetsRequest {
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp = which
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic, t.Partitions = topic, []kmsg.ListOffsetsRequestTopicPartition{p}
	req := kmsg.NewPtrListOffsetsRequest()
	req.Topics = []kmsg.ListOffsetsRequestTopic{t}
	return req
}

// The offsets that can be asked for.
const (
	offsetNext   = -1
	offsetOldest = -2
)

func listed(resp kmsg.Response) (int64, error) {
	r, ok := resp.(*kmsg.ListOffsetsResponse)
	if !ok || len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
		return 0, fmt.Errorf("%w: %T to a question for one partition's offset", errReply, resp)
	}
	p := r.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		return 0, err
	}
	if p.Offset < 0 {
		return 0, fmt.Errorf("%w: the offset is %d", errReply, p.Offset)
	}
	return p.Offset, nil
}

// place is a topic and the offset to read it from.
type place struct {
	topic  string
	offset int64
}

// fetchBytes bounds an answer; one record comes in any case.
const fetchBytes = 8 << 20

// fetchRequest reads topics. The answer comes as soon as there is anything, or after wait.
func fetchRequest(places []place, wait time.Duration) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = int32(wait.Milliseconds()), 1, fetchBytes, -1
	for _, at := range places {
		p := kmsg.NewFetchRequestTopicPartition()
		p.FetchOffset, p.PartitionMaxBytes = at.offset, fetchBytes
		t := kmsg.NewFetchRequestTopic()
		t.Topic, t.Partitions = at.topic, []kmsg.FetchRequestTopicPartition{p}
		req.Topics = append(req.Topics, t)
	}
	return req
}

// fetched is what came of one topic.
type fetched struct {
	topic   string
	from    int64 // the offset that was asked for
	records []*kgo.Record
	end     int64 // the offset after the last record that there is
	err     error
}

// decodeFetch reads the answer to a fetchRequest, in the order of its places.
func decodeFetch(resp kmsg.Response, places []place) ([]fetched, error) {
	r, ok := resp.(*kmsg.FetchResponse)
	if !ok {
		return nil, fmt.Errorf("%w: %T to a fetch request", errReply, resp)
	}
	if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
		return nil, err
	}
	got := map[string]fetched{}
	from := map[string]int64{}
	for _, at := range places {
		from[at.topic] = at.offset
	}
	for _, t := range r.Topics {
		offset, asked := from[t.Topic]
		if !asked || len(t.Partitions) != 1 {
			return nil, fmt.Errorf("%w: %d partitions of topic %.80q, which was not asked for so", errReply, len(t.Partitions), t.Topic)
		}
		p := &t.Partitions[0]
		fp, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Topic: t.Topic, Offset: offset}, p, kgo.DefaultDecompressor(), nil)
		got[t.Topic] = fetched{t.Topic, offset, fp.Records, p.HighWatermark, fp.Err}
	}
	var all []fetched
	for _, at := range places {
		if f, ok := got[at.topic]; ok {
			all = append(all, f)
		}
	}
	return all, nil
}
