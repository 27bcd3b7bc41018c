package kernel

import (
	"embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

//go:embed data/http_*.csv
var fetchFiles embed.FS

// Fetch is how long one HTTP GET took on a fresh connection.
type Fetch struct {
	// Connect is from the dial until the connection was established.
	Connect time.Duration
	// FirstByte is from the request until the first byte of the response, and FirstByteFromDial the same
	// from the dial.
	FirstByte, FirstByteFromDial time.Duration
	// Total is from the dial until the last byte.
	Total time.Duration
}

// Fetches gives the fetches of responses of [SmallSize] and of [LargeSize] bytes under a condition, in the
// order in which they were made. The error is [ErrNotMeasured] if there is no data for the condition.
func Fetches(loss float64, congestion string) (small, large []Fetch, err error) {
	prefix, err := Condition{loss, congestion}.prefix()
	if err != nil {
		return nil, nil, err
	}
	f, err := fetchFiles.Open("data/http_" + prefix + ".csv")
	if err != nil {
		return nil, nil, fmt.Errorf("kernel: fetches: %w", err)
	}
	small, large, err = readFetches(f)
	return small, large, errors.Join(err, f.Close())
}

var fetchColumns = []string{"run", "what", "connect_ms", "ttfb_after_request_ms", "ttfb_from_dial_ms", "total_from_dial_ms"}

// readFetches reads the fetches of both kinds.
func readFetches(r io.Reader) (small, large []Fetch, err error) {
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil {
		return nil, nil, fmt.Errorf("kernel: fetches: %w", err)
	}
	if len(rows) == 0 || !slices.Equal(rows[0], fetchColumns) {
		return nil, nil, fmt.Errorf("kernel: fetches: the first row is not %q", fetchColumns)
	}
	for i, row := range rows[1:] {
		var f Fetch
		for col, to := range []*time.Duration{&f.Connect, &f.FirstByte, &f.FirstByteFromDial, &f.Total} {
			ms, err := strconv.ParseFloat(row[col+2], 64)
			if err != nil || !(ms >= 0 && ms <= 1e9) { // the negation also catches NaN
				return nil, nil, fmt.Errorf("kernel: fetches: row %d: %s is %.20q; want milliseconds, 0 to 10^9", i+1, fetchColumns[col+2], row[col+2])
			}
			*to = time.Duration(ms * float64(time.Millisecond))
		}
		switch row[1] {
		case "small":
			small = append(small, f)
		case "mb":
			large = append(large, f)
		default:
			return nil, nil, fmt.Errorf("kernel: fetches: row %d: what is %.20q; want small or mb", i+1, row[1])
		}
	}
	return small, large, nil
}

// Times gives one time of each of several fetches, such as f.Total, as a distribution.
func Times(fetches []Fetch, of func(f Fetch) time.Duration) Distribution {
	d := make(Distribution, len(fetches))
	for i, f := range fetches {
		d[i] = of(f)
	}
	slices.Sort(d)
	return d
}
