package scenarios

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// However what is written is cut into pieces, each ID is found once, in order.
func TestTapFindsIDs(t *testing.T) {
	text := `$9 1:2 {"id":"a"}{"room":"r","record":{"seq":1,"id":"update-2","body":"aWQ="}}` + "\r\n" + `"id":1,"id":"","ids":"x","id":"z"`
	want := []string{"a", "update-2", "", "z"}
	for size := 1; size <= len(text); size++ {
		c := &tapped{}
		var got []string
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			got = append(got, c.ids([]byte(rest[:n]))...)
			rest = rest[n:]
		}
		require.Equal(t, want, got, "in pieces of %d bytes", size)
	}
	c := &tapped{}
	require.Empty(t, c.ids([]byte(`"id":"`+strings.Repeat("x", 10*maxTapped))))
	require.LessOrEqual(t, len(c.rest), maxTapped)
	require.Equal(t, []string{"b"}, c.ids([]byte(`"id":"b"`)))
}
