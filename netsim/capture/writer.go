package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// bufferBytes is the size of the Writer's buffer: a few of the largest packets.
const bufferBytes = 256 << 10

// maxName is the greatest length of a host's name, which is that of a DNS name (RFC 1035 §2.3.4),
// and maxNote that of a packet's note, which is that of a pcapng option. In bytes.
const (
	maxName = 255
	maxNote = math.MaxUint16
)

// defaultEpoch is the time at which a testing/synctest bubble begins.
var defaultEpoch = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

var errClosed = errors.New("capture: the Writer is closed")

// Writer writes a capture. It is for one goroutine at a time.
//
// Its methods refuse what a file cannot hold, and go on with the next packet; [Writer.Flush] and
// [Writer.Close] report the first error there was, so that nobody has to look at each.
type Writer struct {
	epoch  time.Time
	out    *bufio.Writer
	blocks *pcapgo.NgWriter // writes to out; nil before the first interface
	nextID []uint16         // of each interface: its next packet's IP identification
	packet encoder
	flags  pcapgo.NgEpbFlags
	note   [1]string
	err    error // the first
	closed bool
}

// New begins a capture on w, to which nobody else may write. The epoch is what virtual time 0 is on
// the calendar, from 1970 to 2261; the zero Time means 2000-01-01 UTC, as in a testing/synctest
// bubble.
func New(w io.Writer, epoch time.Time) (*Writer, error) {
	if w == nil {
		return nil, errors.New("capture: w is nil; want where to write")
	}
	if epoch.IsZero() {
		epoch = defaultEpoch
	}
	// Packets carry nanoseconds since 1970, of which an int64 holds 292 years.
	if year := epoch.UTC().Year(); year < 1970 || year > 2261 {
		return nil, fmt.Errorf("capture: epoch is %v; want a year from 1970 to 2261", epoch)
	}
	packet, err := newEncoder()
	if err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	return &Writer{epoch: epoch.UTC(), out: bufio.NewWriterSize(w, bufferBytes), packet: packet}, nil
}

// Interface adds the network interface of a host, whose packets are then recorded under its id. Ids
// count from 0. The name is 1 to 255 bytes of UTF-8, none of them 0. The address is IPv4, and shows
// under that name in tools that resolve names.
func (w *Writer) Interface(hostName string, addr netip.Addr) (id int, err error) {
	if w.closed {
		return 0, errClosed
	}
	if err := checkText("hostName", hostName, maxName); err != nil {
		return 0, w.fail(err)
	}
	if hostName == "" {
		return 0, w.fail(errors.New("capture: hostName is empty; want 1 to 255 bytes"))
	}
	if addr = addr.Unmap(); !addr.Is4() {
		return 0, w.fail(fmt.Errorf("capture: addr of %q is %v; want an IPv4 address", hostName, addr))
	}
	iface := pcapgo.NgInterface{
		Name: hostName, Description: "host " + hostName + ", " + addr.String(),
		LinkType: layers.LinkTypeRaw, TimestampResolution: 9,
	}
	if w.blocks == nil {
		section := pcapgo.NgSectionInfo{Application: "twohop", Comment: "simulated network, virtual time"}
		w.blocks, err = pcapgo.NewNgWriterInterface(w.out, iface, pcapgo.NgWriterOptions{SectionInfo: section})
	} else {
		id, err = w.blocks.AddInterface(iface)
	}
	if err == nil {
		err = w.writeName(hostName, addr)
	}
	if err != nil {
		return 0, w.fail(fmt.Errorf("capture: interface of %q: %w", hostName, err))
	}
	w.nextID = append(w.nextID, 1)
	return id, nil
}

// writeName writes a name resolution block (draft-ietf-opsawg-pcapng §4.5) with one record, which
// pcapgo reads but does not write. Like pcapgo's blocks it is in little endian. It comes between
// them, because they go through the same buffer: bufio.NewWriter, which pcapgo calls, returns a writer
// that is buffered already.
func (w *Writer) writeName(name string, addr netip.Addr) error {
	const (
		blockType  = 4
		recordIPv4 = 1
	)
	ip := addr.As4()
	record := len(ip) + len(name) + 1 // names end with a zero byte
	padding := -record & 3
	total := 4 + 4 + 4 + record + padding + 4 + 4
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, total), blockType)
	b = binary.LittleEndian.AppendUint32(b, uint32(total))
	b = binary.LittleEndian.AppendUint16(b, recordIPv4)
	b = binary.LittleEndian.AppendUint16(b, uint16(record))
	b = append(b, ip[:]...)
	b = append(b, name...)
	b = append(b, make([]byte, 1+padding)...)
	b = append(b, 0, 0, 0, 0) // the record that ends the records
	b = binary.LittleEndian.AppendUint32(b, uint32(total))
	_, err := w.out.Write(b)
	return err
}

// Flush writes what is buffered, and reports the first error that any call met.
func (w *Writer) Flush() error {
	if err := w.out.Flush(); err != nil {
		return w.fail(fmt.Errorf("capture: %w", err))
	}
	return w.err
}

// Close flushes and ends the capture; the underlying writer stays open. It reports the first error
// that any call met. A capture that never had an interface is an empty file.
func (w *Writer) Close() error {
	w.closed = true
	return w.Flush()
}

// fail remembers the first error.
func (w *Writer) fail(err error) error {
	if w.err == nil {
		w.err = err
	}
	return err
}

// checkText rejects what a pcapng string cannot hold. Zero bytes end strings in name records.
func checkText(field, s string, most int) error {
	switch {
	case len(s) > most:
		return fmt.Errorf("capture: %s has %d bytes; want at most %d", field, len(s), most)
	case !utf8.ValidString(s):
		return fmt.Errorf("capture: %s is %.80q; want valid UTF-8", field, s)
	case strings.IndexByte(s, 0) >= 0:
		return fmt.Errorf("capture: %s is %.80q; want no zero byte", field, s)
	}
	return nil
}
