package hop2

import (
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The fuzz targets have an encoding of replies of their own: numbers are 8 bytes, what has a length is preceded by two
// bytes of it, and what is used up is zero. Kafka's would do, but the decoder of franz-go believes whatever number of
// tagged fields it reads and goes on for so many rounds, be there any bytes left or not: a few bytes keep it busy for
// half a minute.

// encoded is a reply, for the seeds.
func encoded(version int16, resp kmsg.Response, fill func()) []byte {
	fill()
	resp.SetVersion(version)
	return appendReply(nil, reflect.ValueOf(resp).Elem())
}

// decoded makes a reply of bytes, in the highest version that is asked for.
func decoded[R kmsg.Response](version int16, resp R, b []byte) R {
	readReply(&b, reflect.ValueOf(resp).Elem())
	resp.SetVersion(version)
	return resp
}

// mostElements bounds how many elements of an array are read.
const mostElements = 4

func appendReply(b []byte, v reflect.Value) []byte {
	length := func(n int) { b = binary.BigEndian.AppendUint16(b, uint16(n)) }
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return append(b, 1)
		}
		return append(b, 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return binary.BigEndian.AppendUint64(b, uint64(v.Int()))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return binary.BigEndian.AppendUint64(b, v.Uint())
	case reflect.String:
		length(v.Len())
		return append(b, v.String()...)
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, 0)
		}
		return appendReply(append(b, 1), v.Elem())
	case reflect.Slice:
		length(v.Len())
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return append(b, v.Bytes()...)
		}
		for i := range v.Len() {
			b = appendReply(b, v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			b = append(b, byte(v.Index(i).Uint()))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type().Field(i).Name != "UnknownTags" {
				b = appendReply(b, v.Field(i))
			}
		}
	default:
		panic("a reply with a " + v.Type().String())
	}
	return b
}

func readReply(b *[]byte, v reflect.Value) {
	take := func(n int) []byte {
		part := make([]byte, n)
		*b = (*b)[copy(part, *b):]
		return part
	}
	length := func() int { return int(binary.BigEndian.Uint16(take(2))) }
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(take(1)[0] != 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(binary.BigEndian.Uint64(take(8))))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(binary.BigEndian.Uint64(take(8)))
	case reflect.String:
		v.SetString(string(take(length())))
	case reflect.Pointer:
		if take(1)[0] == 0 {
			v.SetZero()
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		readReply(b, v.Elem())
	case reflect.Slice:
		n := length()
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(take(n))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), min(n, mostElements), min(n, mostElements)))
		for i := range v.Len() {
			readReply(b, v.Index(i))
		}
	case reflect.Array:
		for i, c := range take(v.Len()) {
			v.Index(i).SetUint(uint64(c))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type().Field(i).Name != "UnknownTags" {
				readReply(b, v.Field(i))
			}
		}
	default:
		panic("a reply with a " + v.Type().String())
	}
}

// What is encoded is decoded.
func TestFuzzedReplies(t *testing.T) {
	r := kmsg.NewPtrFetchResponse()
	p := kmsg.NewFetchResponseTopicPartition()
	p.Partition, p.HighWatermark, p.RecordBatches = 1, -5, []byte("records")
	topic := kmsg.NewFetchResponseTopic()
	topic.Topic, topic.TopicID, topic.Partitions = "ns.r", [16]byte{1, 2}, []kmsg.FetchResponseTopicPartition{p}
	b := encoded(12, r, func() { r.Topics = []kmsg.FetchResponseTopic{topic} })
	again := decoded(12, new(kmsg.FetchResponse), b)
	require.Equal(t, b, encoded(12, again, func() {}))
	require.Equal(t, p.RecordBatches, again.Topics[0].Partitions[0].RecordBatches)
	require.Equal(t, int64(-5), again.Topics[0].Partitions[0].HighWatermark)
	decoded(12, new(kmsg.FetchResponse), b[:len(b)-20])
}
