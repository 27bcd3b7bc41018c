package kernel

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

//go:embed data/messages.csv
var messagesCSV string

// permilles is how many quantiles there are of a run: by the permille, both ends included.
const permilles = 1001

// Messages gives the latencies of messages under a condition, from the sender's call until the receiver
// had them: a distribution for each run, of its 1,001 quantiles by the permille. [Pool] makes one of
// them. The error is [ErrNotMeasured] if there is no data for the condition.
func Messages(loss float64, congestion string) ([]Distribution, error) {
	prefix, err := Condition{loss, congestion}.prefix()
	if err != nil {
		return nil, err
	}
	return readMessages(strings.NewReader(messagesCSV), prefix+"_")
}

// readMessages reads the columns whose names have a prefix: whole microseconds that do not descend.
func readMessages(r io.Reader, prefix string) ([]Distribution, error) {
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("kernel: messages: %w", err)
	}
	if len(rows) != 1+permilles {
		return nil, fmt.Errorf("kernel: messages: there are %d rows; want a header and %d", len(rows), permilles)
	}
	var runs []Distribution
	for col, name := range rows[0] {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		run := make(Distribution, 0, permilles)
		last := uint64(0)
		for i, row := range rows[1:] {
			us, err := strconv.ParseUint(row[col], 10, 40)
			if err != nil || us < last {
				return nil, fmt.Errorf("kernel: messages: %s at %d ‰ is %.20q; want whole microseconds, at least %d", name, i, row[col], last)
			}
			last = us
			run = append(run, time.Duration(us)*time.Microsecond)
		}
		runs = append(runs, run)
	}
	if len(runs) == 0 {
		return nil, fmt.Errorf("kernel: messages: no column is named %s…", prefix)
	}
	return runs, nil
}
